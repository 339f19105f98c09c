-- One row a request and decode step: the engine's own view where it was recorded, else the lowest rank's.
CREATE VIEW steps AS
SELECT *
FROM s_records
WHERE req_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY req_id, step ORDER BY rank NULLS FIRST, source_id, line) = 1

-- s records: the first of each (request, step, rank) or (replica, rank, iteration) is kept,
-- the others are counted as ignored; the rest is sorted so that the input's order leaves no trace.
CREATE TEMP TABLE doubles AS
SELECT source_id, line
FROM s_records
QUALIFY row_number() OVER (
    PARTITION BY req_id, step, rank, replica, CASE WHEN req_id IS NULL THEN iteration END
    ORDER BY source_id, line
) > 1;
INSERT INTO ignored SELECT source_id, 'duplicate of an earlier s record', count(*) FROM doubles GROUP BY source_id;
UPDATE sources SET parsed = parsed - d.n, rows = rows - d.n, ignored = ignored + d.n
FROM (SELECT source_id, count(*) AS n FROM doubles GROUP BY source_id) AS d
WHERE sources.source_id = d.source_id;
CREATE TEMP TABLE kept AS
SELECT r.* REPLACE (coalesce(r.replica, s.replica) AS replica)
FROM s_records AS r
JOIN sources AS s USING (source_id)
ANTI JOIN doubles AS d ON d.source_id = r.source_id AND d.line = r.line;
DELETE FROM s_records;
INSERT INTO s_records BY NAME
SELECT * FROM kept ORDER BY replica, rank NULLS FIRST, iteration, req_id, step, source_id, line;
DROP TABLE kept;
DROP TABLE doubles;

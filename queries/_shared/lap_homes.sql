-- uses: _shared/iteration_ranges
-- One row a source with iteration ranges. What another process does belongs to its own ranges; where only one process has
-- any (lone), to these: the others work for it.
CREATE VIEW lap_homes AS
SELECT source_id, CASE WHEN min(process) = max(process) THEN min(process) END AS lone
FROM iteration_ranges
GROUP BY source_id

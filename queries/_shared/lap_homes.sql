-- uses: _shared/iteration_ranges
-- One row a source with iteration ranges. What a thread does belongs to its own ranges, else to its process's; where only
-- one process has any (lone), to these: the others work for it. homes: threads and processes with ranges.
CREATE VIEW lap_homes AS
SELECT source_id, CASE WHEN min(process) = max(process) THEN min(process) END AS lone, list(DISTINCT home) AS homes
FROM iteration_ranges
GROUP BY source_id

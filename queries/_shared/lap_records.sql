-- uses: _shared/iteration_ranges
-- One row an iteration that an NVTX range and an s record's source both have: when either says that it began,
-- the first range of several. own: the record is that rank's, or the engine's where the replica's ranks made none.
CREATE VIEW lap_records AS
WITH told AS (
    SELECT source_id, replica, rank, iteration, min(ts_ns) AS told_ns
    FROM s_records
    WHERE ts_ns IS NOT NULL AND iteration IS NOT NULL AND replica IS NOT NULL
    GROUP BY source_id, replica, rank, iteration
), laps AS (
    SELECT source_id, replica, rank, iteration, min(start_ns) AS start_ns
    FROM iteration_ranges
    GROUP BY source_id, replica, rank, iteration
)
SELECT n.source_id, n.start_ns, r.source_id AS record_id, r.told_ns,
       r.rank IS NOT NULL OR r.replica NOT IN (SELECT replica FROM told WHERE rank IS NOT NULL) AS own
FROM laps AS n
JOIN told AS r ON r.replica = n.replica AND r.iteration = n.iteration AND (r.rank IS NULL OR r.rank = n.rank)

-- uses: _shared/nvtx_utc, _shared/rank_states
-- One row an iteration that an NVTX range and an s record both have: when either says that it began.
-- Of a source without a rank the engine's own record is taken.
CREATE VIEW lap_records AS
SELECT n.source_id, n.replica, n.start_ns, min(r.ts_ns) AS told_ns
FROM nvtx_utc AS n
JOIN rank_states AS r ON r.replica = n.replica AND r.iteration = TRY_CAST(n.keys->>'$.n' AS BIGINT)
                         AND (r.rank IS NULL OR r.rank = n.rank)
WHERE n.kind = 'iteration' AND r.ts_ns IS NOT NULL
GROUP BY n.source_id, n.replica, n.start_ns

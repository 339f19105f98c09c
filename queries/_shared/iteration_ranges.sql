-- uses: _shared/nvtx_utc
-- One row an NVTX range of an engine iteration, on the bundle's clock, with the process that set it (0: not told). A range
-- within another one of the same process and iteration tells of a part of it, and is left out.
CREATE VIEW iteration_ranges AS
SELECT source_id, replica, rank, process, iteration, session_start_ns, start_ns, end_ns
FROM (SELECT *, coalesce(global_tid >> 24, 0) AS process, TRY_CAST(keys->>'$.n' AS BIGINT) AS iteration
      FROM nvtx_utc
      WHERE kind = 'iteration')
QUALIFY NOT coalesce(end_ns <= max(end_ns) OVER (PARTITION BY source_id, process, iteration ORDER BY start_ns, end_ns DESC
                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false)

-- uses: _shared/nvtx_utc
-- One row an NVTX range of an engine iteration and home, on the bundle's clock: its process (0: not told), and the thread
-- that set it (home: global_tid, a process's with thread 0). A range within another one of the same home and iteration
-- tells of a part of it, and is left out.
CREATE VIEW iteration_ranges AS
SELECT source_id, replica, rank, process, home, iteration, session_start_ns, start_ns, end_ns
FROM (SELECT *, coalesce(global_tid >> 24, 0) AS process, TRY_CAST(keys->>'$.n' AS BIGINT) AS iteration,
             unnest(list_distinct([process << 24, global_tid])) AS home
      FROM nvtx_utc
      WHERE kind = 'iteration')
QUALIFY NOT coalesce(end_ns <= max(end_ns) OVER (PARTITION BY source_id, home, iteration ORDER BY start_ns, end_ns DESC
                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false)

-- Which collectives PyTorch's watchdog gave up on, and how far each process group's ranks had come.
-- One row a telling: a timeout (kind timeout), or a group's state at an error (kind status). Those that wait tell it: the
-- rank that tells no timeout, or whose last_enqueued is lower, is the one to look at. It can't tell that rank where its
-- log is not here, what held it up, nor collectives outside PyTorch's process groups (vLLM's PyNccl, custom all-reduces).
-- column: source VARCHAR path — path in the bundle
-- column: line BIGINT - — line
-- column: kind VARCHAR - — timeout or status
-- column: group_rank INTEGER - — rank in the process group
-- column: rank INTEGER - — rank that the launcher's prefix names; NULL: none
-- column: pg VARCHAR - — process group as printed; NULL: not printed
-- column: pg_name VARCHAR - — its description
-- column: seq BIGINT - — number of the collective in its group; NULL: not printed, or a state told as another rank timed out
-- column: op VARCHAR - — what it was; NULL: a status
-- column: numel BIGINT elements — elements going in; NULL: not printed
-- column: timeout_ms DOUBLE ms — limit
-- column: ran_ms DOUBLE ms — how long it had run
-- column: began_ns BIGINT ns — when it began: ran_ms before it was told, UTC; NULL: no year is known
-- column: told_ns BIGINT ns — when it was told
-- column: time_text VARCHAR - — the same as printed: month and day, local time, no year
-- column: last_enqueued BIGINT - — last collective of the group that the rank had enqueued
-- column: last_completed BIGINT - — last that it had completed
-- needs: torch_watchdog(kind, seq)
SELECT s.path AS source, w.line, w.kind, w.rank AS group_rank, w.prefix_rank AS rank, w.pg, w.pg_name, w.seq, w.op, w.numel,
       w.timeout_ms, w.ran_ms, TRY_CAST(w.t_ns + coalesce(c.offset_ns, 0) - CAST(w.ran_ms * 1e6 AS HUGEINT) AS BIGINT) AS began_ns,
       w.t_ns + coalesce(c.offset_ns, 0) AS told_ns, w.time_text, w.last_enqueued, w.last_completed
FROM torch_watchdog AS w
JOIN sources AS s USING (source_id)
LEFT JOIN clocks AS c USING (source_id)
ORDER BY source, line, kind, group_rank

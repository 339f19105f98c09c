-- Collectives that hung: which ranks PyTorch's watchdog gave up for, and which of the group's told no timeout.
-- One row a collective by number, kind and size. Those that wait give up: a rank that told none is the one to look at,
-- unless its log is not here. The lines name no group: two groups' that are alike in all, or the same one's after a restart,
-- are one row, in which fewer ranks are silent. It can't tell ranks above the highest that gave up, the other side of a
-- Send or Recv (COALESCED may be such), what held a rank up, nor collectives outside PyTorch's process groups (vLLM's
-- PyNccl, custom all-reduces). `collective_timeouts` has the lines.
-- column: replica VARCHAR - — replica; NULL: nothing tells
-- column: op VARCHAR - — what it was, as printed: ALLREDUCE, ...
-- column: seq BIGINT - — its number in its process group; NULL: not printed, up to PyTorch 2.0
-- column: numel BIGINT elements — elements going in; NULL: not printed
-- column: gave_up VARCHAR - — ranks of the group for which it timed out
-- column: silent VARCHAR - — ranks of the group, up to the highest of these, that told no timeout; NULL: none, or not all take part
-- column: behind VARCHAR - — ranks that tell a lower last_enqueued, be it as another timed out; NULL: none does, not all take part, or it is not known to be the default group's and the only one that failed
-- column: ran_ms DOUBLE ms — how long it had run, at the longest
-- column: timeout_ms DOUBLE ms — limit
-- column: began_ns BIGINT ns — when the first of them began to wait, UTC; NULL: no year is known
-- column: told_ns BIGINT ns — when the first gave up, UTC
-- column: source VARCHAR path — log of the first line that tells of it
-- column: line BIGINT - — that line
-- needs: torch_watchdog(kind, seq)
WITH told AS (
    SELECT s.replica, w.op, w.seq, w.numel, w.numel_out, w.rank, w.ran_ms, w.timeout_ms, s.path, w.line,
           w.t_ns + coalesce(c.offset_ns, 0) AS told_ns,
           TRY_CAST(w.t_ns + coalesce(c.offset_ns, 0) - CAST(w.ran_ms * 1e6 AS HUGEINT) AS BIGINT) AS began_ns,
           dense_rank() OVER (ORDER BY s.replica, w.op, w.seq, w.numel, w.numel_out) AS hang
    FROM torch_watchdog AS w
    JOIN sources AS s USING (source_id)
    LEFT JOIN clocks AS c USING (source_id)
    WHERE w.kind = 'timeout' AND w.rank IS NOT NULL
), ranks AS (
    SELECT hang, rank, rank - row_number() OVER (PARTITION BY hang ORDER BY rank) AS run,
           lag(rank, 1, -1) OVER (PARTITION BY hang ORDER BY rank) + 1 AS gap
    FROM (SELECT DISTINCT hang, rank FROM told)
), runs AS (
    SELECT hang, TRUE AS gave_up, min(rank) AS low, max(rank) AS high FROM ranks GROUP BY hang, run
    UNION ALL
    SELECT hang, FALSE, gap, rank - 1 FROM ranks WHERE gap < rank
), states AS (
    -- the default group's: its number, 0, is one group's in all processes
    SELECT s.replica, w.rank, w.seq, w.last_enqueued FROM torch_watchdog AS w JOIN sources AS s USING (source_id)
    WHERE w.kind = 'status' AND w.pg = '0'
), failed AS (
    SELECT replica, min(seq) AS seq FROM states GROUP BY replica HAVING count(DISTINCT seq) = 1
), sole AS (
    SELECT t.replica, t.seq, min(t.hang) AS hang FROM told AS t
    JOIN failed AS f ON f.seq = t.seq AND f.replica IS NOT DISTINCT FROM t.replica
    GROUP BY t.replica, t.seq HAVING count(DISTINCT t.hang) = 1
), behind AS (
    SELECT hang, string_agg(CAST(rank AS VARCHAR), ', ' ORDER BY rank) AS behind
    FROM (SELECT o.hang, s.rank FROM sole AS o JOIN states AS s ON s.replica IS NOT DISTINCT FROM o.replica
          GROUP BY o.hang, s.rank, o.seq HAVING max(s.last_enqueued) < o.seq)
    GROUP BY hang
), named AS (
    SELECT hang, string_agg(ranks, ', ' ORDER BY low) FILTER (gave_up) AS gave_up,
           string_agg(ranks, ', ' ORDER BY low) FILTER (NOT gave_up) AS silent
    FROM (SELECT *, CASE WHEN low = high THEN CAST(low AS VARCHAR) ELSE low || '-' || high END AS ranks FROM runs)
    GROUP BY hang
)
SELECT any_value(replica) AS replica, any_value(op) AS op, any_value(seq) AS seq, any_value(numel) AS numel,
       any_value(n.gave_up) AS gave_up,
       any_value(CASE WHEN op NOT IN ('SEND', 'RECV', 'RECVANYSOURCE', 'COALESCED') THEN n.silent END) AS silent,
       any_value(CASE WHEN op NOT IN ('SEND', 'RECV', 'RECVANYSOURCE', 'COALESCED') THEN b.behind END) AS behind,
       max(ran_ms) AS ran_ms, max(timeout_ms) AS timeout_ms, min(began_ns) AS began_ns, min(told_ns) AS told_ns,
       arg_min(path, (path, line)) AS source, arg_min(line, (path, line)) AS line
FROM told
JOIN named AS n USING (hang)
LEFT JOIN behind AS b USING (hang)
GROUP BY hang
ORDER BY began_ns NULLS LAST, replica, op, seq, numel, source, line

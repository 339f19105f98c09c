-- Time that each rank spent in NVTX ranges of one kind, iteration by iteration.
-- One row a replica, rank and iteration in which such a range began. Ranges are taken on the host.
-- What a thread did belongs to its own iteration ranges, else to its process's, or to those of the only process that has any.
-- param: kind VARCHAR - = dequant — kind of range: dequant, kv_recompute, ...
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: ranges BIGINT ranges — how many
-- column: busy_ns BIGINT ns — their durations added up
-- needs: nvtx_events(kind, keys, start_ns, end_ns)
-- uses: _shared/nvtx_utc, _shared/iteration_stretches, _shared/lap_homes
WITH doings AS (
    SELECT n.source_id, n.session_start_ns AS began_ns, n.end_ns - n.start_ns AS busy_ns,
           CASE WHEN list_contains(h.homes, n.global_tid) THEN n.global_tid
                ELSE coalesce(h.lone, n.global_tid >> 24, 0) << 24 END AS home
    FROM nvtx_utc AS n
    JOIN lap_homes AS h ON h.source_id = n.source_id
    WHERE n.kind = $kind AND n.end_ns IS NOT NULL
)
SELECT l.replica, l.rank, l.iteration, count(*) AS ranges, CAST(sum(a.busy_ns) AS BIGINT) AS busy_ns
FROM doings AS a
ASOF JOIN iteration_stretches AS l ON a.source_id = l.source_id AND a.home = l.home AND a.began_ns >= l.from_ns
WHERE a.began_ns < l.end_ns AND l.iteration IS NOT NULL
  AND ($replica IS NULL OR l.replica = $replica) AND ($rank IS NULL OR l.rank = $rank)
GROUP BY l.replica, l.rank, l.iteration
ORDER BY l.replica, l.iteration, l.rank

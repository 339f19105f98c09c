-- Time that each rank spent in NVTX ranges of one kind, iteration by iteration.
-- One row a replica, rank and iteration in which such a range began. Ranges are taken on the host.
-- param: kind VARCHAR - = dequant — kind of range: dequant, kv_recompute, ...
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: ranges BIGINT ranges — how many
-- column: busy_ns BIGINT ns — their durations added up
-- needs: nvtx_events(kind, keys, start_ns, end_ns)
-- uses: _shared/nvtx_utc
WITH laps AS (
    SELECT source_id, replica, rank, TRY_CAST(keys->>'$.n' AS BIGINT) AS iteration, start_ns, end_ns
    FROM nvtx_utc
    WHERE kind = 'iteration' AND end_ns IS NOT NULL
)
SELECT l.replica, l.rank, l.iteration, count(*) AS ranges, CAST(sum(a.end_ns - a.start_ns) AS BIGINT) AS busy_ns
FROM nvtx_utc AS a
ASOF JOIN laps AS l ON a.source_id = l.source_id AND a.start_ns >= l.start_ns
WHERE a.kind = $kind AND a.end_ns IS NOT NULL AND a.start_ns < l.end_ns
  AND ($replica IS NULL OR l.replica = $replica) AND ($rank IS NULL OR l.rank = $rank)
GROUP BY l.replica, l.rank, l.iteration
ORDER BY l.replica, l.iteration, l.rank

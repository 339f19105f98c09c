-- Memory evaporation: windows in which state replication and the checkpointer pinned memory at once, and what it cost.
-- One row a rank and window. Shares are of the KV pool, in the iteration of the window that had least left. apart is
-- the pool had the two not overlapped: only the larger pin taken off. Limit: [regimes] memory_evaporation_share, 5 %.
-- outside: the same counts in the rank's iterations in no such window. Iterations closer to a window's ends than the
-- clocks of ranges and records are sure count neither way. It can't tell pins whose beginning or end was not recorded, nor,
-- where two windows fall into one iteration, which of them evicted.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank; NULL: the engine's own view
-- column: start_ns BIGINT ns — both pins held from, UTC epoch
-- column: end_ns BIGINT ns — to, UTC epoch
-- column: source VARCHAR - — where the window comes from: NVTX ranges or s records
-- column: first_iteration BIGINT - — first iteration in it; NULL: no record of one
-- column: last_iteration BIGINT - — last one
-- column: iterations BIGINT iterations — recorded in it
-- column: isr_mb DOUBLE MiB — most that replication held at once
-- column: ckpt_mb DOUBLE MiB — most that the checkpointer held at once
-- column: pool_mb DOUBLE MiB — the KV pool
-- column: taken_pct DOUBLE % — of the pool, what both held
-- column: free_pct DOUBLE % — of the pool, free once both were taken off: the least in the window
-- column: free_apart_pct DOUBLE % — of the pool, free in that iteration with the larger pin alone
-- column: below BIGINT iterations — in which less was free than the limit
-- column: below_apart BIGINT iterations — in which that would be so with the larger pin alone
-- column: evicted_blocks BIGINT blocks — evicted in the window
-- column: recompute_tokens BIGINT tokens — recomputed in the window
-- column: evicted_rate DOUBLE blocks/iteration — in the window
-- column: evicted_rate_outside DOUBLE blocks/iteration — outside
-- column: recompute_rate DOUBLE tokens/iteration — in the window
-- column: recompute_rate_outside DOUBLE tokens/iteration — outside
-- needs: s_records(replica, iteration, isr_pinned_mb, ckpt_pinned_mb)
-- uses: _shared/pin_windows, _shared/pinned_states, _shared/regime_limits
WITH inside AS (
    SELECT p.*, w.isr_mb, w.ckpt_mb, coalesce(nullif(p.isr_pinned_mb, 0), w.isr_mb) AS isr,
           coalesce(nullif(p.ckpt_pinned_mb, 0), w.ckpt_mb) AS ckpt
    FROM pinned_states AS p
    JOIN pin_windows AS w ON w.replica = p.replica AND w.rank IS NOT DISTINCT FROM p.rank AND w.start_ns = p.window_ns
), weighed AS (
    SELECT *, 100 * (vram_free_mb - isr - ckpt) / nullif(kv_pool_total_mb, 0) AS free_pct,
           100 * (vram_free_mb - greatest(isr, ckpt)) / nullif(kv_pool_total_mb, 0) AS apart_pct,
           100 * (isr + ckpt) / nullif(kv_pool_total_mb, 0) AS taken_pct
    FROM inside
), windowed AS (
    SELECT replica, rank, window_ns, min(iteration) AS first_iteration, max(iteration) AS last_iteration, count(*) AS iterations,
           max(kv_pool_total_mb) AS pool_mb, arg_min(taken_pct, free_pct) AS taken_pct, min(free_pct) AS free_pct,
           arg_min(apart_pct, free_pct) AS free_apart_pct,
           CASE WHEN count(free_pct) > 0 THEN count(*) FILTER (WHERE free_pct < 100 * l.share) END AS below,
           CASE WHEN count(free_pct) > 0 THEN count(*) FILTER (WHERE apart_pct < 100 * l.share) END AS below_apart,
           CAST(sum(kv_evicted_blocks) AS BIGINT) AS evicted_blocks, CAST(sum(recompute_tokens) AS BIGINT) AS recompute_tokens,
           avg(kv_evicted_blocks) AS evicted_rate, avg(recompute_tokens) AS recompute_rate
    FROM weighed, regime_limits AS l
    GROUP BY replica, rank, window_ns
), outside AS (
    SELECT replica, rank, avg(kv_evicted_blocks) AS evicted_rate, avg(recompute_tokens) AS recompute_rate
    FROM pinned_states
    WHERE window_ns IS NULL
    GROUP BY replica, rank
)
SELECT w.replica, w.rank, w.start_ns, w.end_ns, w.source, i.first_iteration, i.last_iteration, coalesce(i.iterations, 0) AS iterations,
       w.isr_mb, w.ckpt_mb, i.pool_mb, i.taken_pct, i.free_pct, i.free_apart_pct, i.below, i.below_apart, i.evicted_blocks,
       i.recompute_tokens, i.evicted_rate, o.evicted_rate AS evicted_rate_outside, i.recompute_rate,
       o.recompute_rate AS recompute_rate_outside
FROM pin_windows AS w
LEFT JOIN windowed AS i ON i.replica = w.replica AND i.rank IS NOT DISTINCT FROM w.rank AND i.window_ns = w.start_ns
LEFT JOIN outside AS o ON o.replica = w.replica AND o.rank IS NOT DISTINCT FROM w.rank
WHERE ($replica IS NULL OR w.replica = $replica) AND ($rank IS NULL OR w.rank = $rank)
ORDER BY w.replica, w.rank NULLS FIRST, w.start_ns

-- uses: _shared/nvtx_aligned, _shared/rank_states, _shared/record_clocks
-- One row a rank and window in which replication (ISR) and the checkpointer held pins at once: from NVTX ranges where
-- the rank has any of both kinds (exact times), else from its s records (whole iterations). rank NULL: the engine's
-- own view, or a range of no known rank. Of a rank whose records nothing ties to the ranges, they are timed by the clock
-- that both were read off. isr_mb and ckpt_mb are the most that either held, NULL where not told. unsure_ns:
-- how sure the ranges' clock is, NULL where nothing tells.
CREATE VIEW pin_windows AS
WITH untied AS (
    SELECT DISTINCT s.replica, s.rank
    FROM rank_states AS s
    ANTI JOIN record_clocks AS c ON c.replica = s.replica AND c.rank IS NOT DISTINCT FROM s.rank
), pins AS (
    SELECT n.replica, n.rank, kind, TRY_CAST(keys->>'$.mb' AS DOUBLE) AS mb, unsure_ns,
           CASE WHEN u.replica IS NULL THEN start_ns ELSE own_start_ns END AS start_ns,
           CASE WHEN u.replica IS NULL THEN end_ns ELSE own_end_ns END AS end_ns
    FROM nvtx_aligned AS n
    LEFT JOIN untied AS u ON u.replica = n.replica AND u.rank IS NOT DISTINCT FROM n.rank
    WHERE kind IN ('isr_pin', 'ckpt_pin') AND n.end_ns > n.start_ns
), pairs AS (
    SELECT i.replica, i.rank, greatest(i.start_ns, c.start_ns) AS start_ns, least(i.end_ns, c.end_ns) AS end_ns,
           i.mb AS isr_mb, c.mb AS ckpt_mb, greatest(i.unsure_ns, c.unsure_ns) AS unsure_ns
    FROM pins AS i
    JOIN pins AS c ON c.replica IS NOT DISTINCT FROM i.replica AND c.rank IS NOT DISTINCT FROM i.rank
                      AND i.start_ns < c.end_ns AND c.start_ns < i.end_ns
    WHERE i.kind = 'isr_pin' AND c.kind = 'ckpt_pin'
), marked AS (
    SELECT *, start_ns > coalesce(max(end_ns) OVER (PARTITION BY replica, rank ORDER BY start_ns, end_ns
                                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), start_ns - 1) AS new
    FROM pairs
), islands AS (
    SELECT *, count(*) FILTER (WHERE new) OVER (PARTITION BY replica, rank ORDER BY start_ns, end_ns) AS island
    FROM marked
), states AS (
    SELECT replica, rank, iteration, ts_ns, isr_pinned_mb, ckpt_pinned_mb,
           coalesce(lead(ts_ns) OVER each, CAST(ts_ns + coalesce(gpu_ms, 0) * 1e6 AS BIGINT)) AS next_ns,
           coalesce(isr_pinned_mb > 0 AND ckpt_pinned_mb > 0, false) AS both_held
    FROM rank_states AS r
    WHERE ts_ns IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM pins AS p WHERE p.replica IS NOT DISTINCT FROM r.replica AND p.rank IS NOT DISTINCT FROM r.rank)
    WINDOW each AS (PARTITION BY replica, rank ORDER BY iteration)
), runs AS (
    SELECT *, count(*) FILTER (WHERE NOT both_held) OVER (PARTITION BY replica, rank ORDER BY iteration) AS run FROM states
)
SELECT replica, rank, 'NVTX ranges' AS source, min(start_ns) AS start_ns, max(end_ns) AS end_ns,
       max(isr_mb) AS isr_mb, max(ckpt_mb) AS ckpt_mb, max(unsure_ns) AS unsure_ns
FROM islands
GROUP BY replica, rank, island
UNION ALL
SELECT replica, rank, 's records', min(ts_ns), max(next_ns), max(isr_pinned_mb), max(ckpt_pinned_mb), NULL
FROM runs
WHERE both_held
GROUP BY replica, rank, run

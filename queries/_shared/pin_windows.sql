-- uses: _shared/nvtx_aligned, _shared/rank_states, _shared/record_clocks
-- One row a rank and window in which replication (ISR) and the checkpointer held pins at once: from NVTX ranges (exact
-- times) while exports tell of the rank's pins of both kinds, from the first thing that they tell to the last; else from
-- its s records (whole iterations). rank NULL: the engine's own view, or ranges of no known rank, of which those of one
-- process count as held together (of an unknown replica's rank, those of one export). Of a rank whose records nothing
-- ties to the ranges, they are timed by the clock that both were read off. isr_mb and ckpt_mb are the most that either
-- held at once, NULL where not told. unsure_ns: how sure the ranges' clock is, NULL where nothing tells.
CREATE VIEW pin_windows AS
WITH untied AS (
    SELECT DISTINCT s.replica, s.rank
    FROM rank_states AS s
    ANTI JOIN record_clocks AS c ON c.replica = s.replica AND c.rank IS NOT DISTINCT FROM s.rank
), ranges AS (
    SELECT n.replica, n.rank, n.source_id, kind, TRY_CAST(keys->>'$.mb' AS DOUBLE) AS mb, unsure_ns,
           CASE WHEN n.rank IS NULL THEN [n.source_id, coalesce(global_tid >> 24, 0)]
                WHEN n.replica IS NULL THEN [n.source_id] ELSE [] END AS place,
           CASE WHEN u.replica IS NULL THEN start_ns ELSE own_start_ns END AS start_ns,
           CASE WHEN u.replica IS NULL THEN end_ns ELSE own_end_ns END AS end_ns
    FROM nvtx_aligned AS n
    LEFT JOIN untied AS u ON u.replica = n.replica AND u.rank IS NOT DISTINCT FROM n.rank
), pins AS (
    FROM ranges WHERE kind IN ('isr_pin', 'ckpt_pin') AND end_ns > start_ns
), told AS (
    SELECT r.replica, r.rank, p.kind, min(r.start_ns) AS from_ns, max(coalesce(r.end_ns, r.start_ns)) AS to_ns
    FROM (SELECT DISTINCT source_id, kind FROM pins) AS p
    JOIN ranges AS r ON r.source_id = p.source_id
    GROUP BY r.replica, r.rank, p.source_id, p.kind
), told_both AS (
    SELECT i.replica, i.rank, greatest(i.from_ns, c.from_ns) AS from_ns, least(i.to_ns, c.to_ns) AS to_ns
    FROM told AS i
    JOIN told AS c ON c.replica IS NOT DISTINCT FROM i.replica AND c.rank IS NOT DISTINCT FROM i.rank
    WHERE i.kind = 'isr_pin' AND c.kind = 'ckpt_pin' AND i.from_ns < c.to_ns AND c.from_ns < i.to_ns
), pairs AS (
    SELECT i.replica, i.rank, i.place, greatest(i.start_ns, c.start_ns) AS start_ns, least(i.end_ns, c.end_ns) AS end_ns,
           greatest(i.unsure_ns, c.unsure_ns) AS unsure_ns
    FROM pins AS i
    JOIN pins AS c ON c.replica IS NOT DISTINCT FROM i.replica AND c.rank IS NOT DISTINCT FROM i.rank AND c.place = i.place
                      AND i.start_ns < c.end_ns AND c.start_ns < i.end_ns
    WHERE i.kind = 'isr_pin' AND c.kind = 'ckpt_pin'
), held AS (
    -- what is held rises only where a pin begins, and within a window a pair does there
    SELECT p.replica, p.rank, p.start_ns, p.end_ns, max(p.unsure_ns) AS unsure_ns,
           sum(h.mb) FILTER (WHERE h.kind = 'isr_pin') AS isr_mb, sum(h.mb) FILTER (WHERE h.kind = 'ckpt_pin') AS ckpt_mb
    FROM (SELECT DISTINCT * FROM pairs) AS p
    JOIN pins AS h ON h.replica IS NOT DISTINCT FROM p.replica AND h.rank IS NOT DISTINCT FROM p.rank AND h.place = p.place
                      AND h.start_ns <= p.start_ns AND p.start_ns < h.end_ns
    GROUP BY p.replica, p.rank, p.place, p.start_ns, p.end_ns, p.unsure_ns
), marked AS (
    SELECT *, start_ns > coalesce(max(end_ns) OVER (PARTITION BY replica, rank ORDER BY start_ns, end_ns
                                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), start_ns - 1) AS new
    FROM held
), islands AS (
    SELECT *, count(CASE WHEN new THEN 1 END) OVER (PARTITION BY replica, rank ORDER BY start_ns, end_ns) AS island
    FROM marked
), states AS (
    SELECT replica, rank, iteration, ts_ns, isr_pinned_mb, ckpt_pinned_mb,
           coalesce(lead(ts_ns) OVER each, CAST(ts_ns + coalesce(gpu_ms, 0) * 1e6 AS BIGINT)) AS next_ns
    FROM rank_states
    WHERE ts_ns IS NOT NULL
    WINDOW each AS (PARTITION BY replica, rank ORDER BY iteration)
), covered AS (
    SELECT DISTINCT s.replica, s.rank, s.iteration
    FROM states AS s
    JOIN told_both AS b ON b.replica = s.replica AND b.rank IS NOT DISTINCT FROM s.rank
    WHERE b.from_ns < s.next_ns AND s.ts_ns < b.to_ns
), judged AS (
    SELECT s.*, coalesce(isr_pinned_mb > 0 AND ckpt_pinned_mb > 0, false) AND c.replica IS NULL AS both_held
    FROM states AS s
    LEFT JOIN covered AS c ON c.replica = s.replica AND c.rank IS NOT DISTINCT FROM s.rank AND c.iteration = s.iteration
), runs AS (
    SELECT *, count(CASE WHEN NOT both_held THEN 1 END) OVER (PARTITION BY replica, rank ORDER BY iteration) AS run FROM judged
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

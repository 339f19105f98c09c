-- Whether each rank's data stayed in the L2 cache: hit rate and long-scoreboard stalls, iteration by iteration.
-- One row a replica, rank and iteration with samples of either; means as in rank_gpu_metrics. Of a rank's L2 hit rates
-- the one with the shortest name is taken (longer ones tell of a part: from L1, of reads), of its families of stall
-- metrics the one with most reasons, so that nothing counts twice. It can't tell which kernel a sample falls on, and
-- neither metric is in the sets that Nsight Systems ships: it takes a custom metric set.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: l2_hit DOUBLE % — mean L2 hit rate
-- column: long_scoreboard DOUBLE share — of all warp-stall reasons of its family that were sampled
-- column: samples BIGINT samples — of the L2 hit rate
-- needs: gpu_metrics(metric, t_ns, value)
-- needs: sources(rank)
-- uses: _shared/iteration_metrics
WITH averaged AS (
    FROM iteration_metrics
    WHERE kind IN ('l2_hit_rate', 'stall') AND ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
), metrics AS (
    SELECT replica, rank, kind, metric, family, count(DISTINCT reason) OVER (PARTITION BY replica, rank, family) AS reasons
    FROM (SELECT DISTINCT replica, rank, kind, metric, family, reason FROM averaged)
), chosen AS (
    SELECT replica, rank, metric
    FROM metrics
    WHERE kind = 'l2_hit_rate'
    QUALIFY row_number() OVER (PARTITION BY replica, rank ORDER BY length(metric), metric) = 1
    UNION ALL
    SELECT replica, rank, metric
    FROM metrics
    WHERE kind = 'stall'
    QUALIFY rank() OVER (PARTITION BY replica, rank ORDER BY reasons DESC, family) = 1
)
SELECT a.replica, a.rank, a.iteration, max(value) FILTER (WHERE kind = 'l2_hit_rate') AS l2_hit,
       sum(value) FILTER (WHERE reason = 'long_scoreboard') / nullif(sum(value) FILTER (WHERE kind = 'stall'), 0)
           AS long_scoreboard,
       coalesce(max(samples) FILTER (WHERE kind = 'l2_hit_rate'), 0) AS samples
FROM averaged AS a
JOIN chosen AS c ON c.replica IS NOT DISTINCT FROM a.replica AND c.rank = a.rank AND c.metric = a.metric
GROUP BY a.replica, a.rank, a.iteration
ORDER BY a.replica, a.iteration, a.rank

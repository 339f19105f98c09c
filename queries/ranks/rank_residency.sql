-- Whether each rank's data stayed in the L2 cache: hit rate and long-scoreboard stalls, iteration by iteration.
-- One row a replica, rank and iteration with samples of either. It can't tell which kernel a sample falls on, and
-- neither metric is in the sets that Nsight Systems ships: it takes a custom metric set.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: l2_hit DOUBLE % — mean L2 hit rate
-- column: long_scoreboard DOUBLE share — of all warp-stall reasons that were sampled
-- column: samples BIGINT samples — of the L2 hit rate
-- needs: gpu_metrics(metric, t_ns, value)
-- needs: sources(rank)
-- uses: _shared/placed_metrics
SELECT replica, rank, iteration, avg(value) FILTER (WHERE kind = 'l2_hit_rate') AS l2_hit,
       sum(value) FILTER (WHERE reason = 'long_scoreboard') / nullif(sum(value) FILTER (WHERE kind = 'stall'), 0)
           AS long_scoreboard,
       count(*) FILTER (WHERE kind = 'l2_hit_rate') AS samples
FROM placed_metrics
WHERE kind IN ('l2_hit_rate', 'stall') AND ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
GROUP BY replica, rank, iteration
ORDER BY replica, iteration, rank

-- GPU metrics of each rank, averaged over the iteration's window, with how many samples fell into it.
-- One row a replica, rank, iteration and metric. Of warp stalls, share parts what all reasons of one family hold: a warp
-- that was selected was not stalled and has none. Sampling takes as long as short kernels: it can't tell which kernel a
-- sample falls on, and of few samples the mean says little. Where other GPUs were sampled than that on which the rank's
-- kernels and CUDA graphs ran, their samples are left out.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- param: metric VARCHAR - = NULL — only metrics whose name holds this text, whatever its case; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: metric VARCHAR - — name as recorded, with its unit in brackets
-- column: kind VARCHAR - — l2_hit_rate, stall, not_stalled; NULL: none of these
-- column: reason VARCHAR - — of a stall: long_scoreboard, barrier, ...
-- column: value DOUBLE - — mean of the samples, in the unit of its name; [MHz] values are Hz, [GB/s] values bytes/s
-- column: samples BIGINT samples — that fell into the iteration
-- column: share DOUBLE - — of all stall reasons of its family in the iteration, 0 to 1; NULL where not a stall
-- needs: gpu_metrics(metric, t_ns, value)
-- needs: sources(rank)
-- uses: _shared/iteration_metrics
WITH shared AS (
    SELECT *, CASE WHEN kind = 'stall' THEN value / nullif(sum(value) FILTER (WHERE kind = 'stall') OVER (
                  PARTITION BY replica, rank, iteration, family), 0) END AS share
    FROM iteration_metrics
    WHERE ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
)
SELECT replica, rank, iteration, metric, kind, reason, value, samples, share
FROM shared
WHERE $metric IS NULL OR contains(lower(metric), lower($metric))
ORDER BY replica, iteration, rank, metric

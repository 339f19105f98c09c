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
-- uses: _shared/rank_times, _shared/clock_segments
WITH timed AS (
    SELECT s.source_id, s.replica, s.rank, m.kind, m.reason, m.value,
           m.t_ns + c.origin_ns + c.offset_ns AS own_ns
    FROM gpu_metrics AS m
    JOIN sources AS s USING (source_id)
    JOIN clocks AS c USING (source_id)
    WHERE s.rank IS NOT NULL AND c.origin_ns IS NOT NULL AND m.kind IN ('l2_hit_rate', 'stall')
), aligned AS (
    SELECT t.*, own_ns + coalesce(f.offset_ns + CAST(round(f.drift * (own_ns - f.at_ns)) AS BIGINT), 0) AS at_ns
    FROM timed AS t
    ASOF LEFT JOIN clock_segments AS f ON f.source_id = t.source_id AND t.own_ns >= f.from_ns
), placed AS (
    SELECT t.replica, t.rank, t.kind, t.reason, t.value, l.iteration
    FROM aligned AS t
    ASOF JOIN rank_times AS l ON t.replica = l.replica AND t.rank = l.rank AND t.at_ns >= l.start_ns
    WHERE t.at_ns <= l.end_ns
)
SELECT replica, rank, iteration, avg(value) FILTER (WHERE kind = 'l2_hit_rate') AS l2_hit,
       sum(value) FILTER (WHERE reason = 'long_scoreboard') / nullif(sum(value) FILTER (WHERE kind = 'stall'), 0)
           AS long_scoreboard,
       count(*) FILTER (WHERE kind = 'l2_hit_rate') AS samples
FROM placed
WHERE ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
GROUP BY replica, rank, iteration
ORDER BY replica, iteration, rank

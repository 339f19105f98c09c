-- How fast each rank's kernels ran, iteration by iteration, against their own usual time.
-- One row a replica, rank and iteration with kernels. pace is the median over kernel names of the name's median
-- duration in the iteration over its median in the whole recording: 1.2 is a GPU on which everything takes 1.2 times
-- as long. NCCL's kernels are left out: they last as long as they wait. It can't tell kernels hidden in CUDA graphs.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: pace DOUBLE ratio — median slowdown of its kernels
-- column: slower DOUBLE share — of its kernel names that took longer than usual
-- column: names BIGINT - — kernel names that ran
-- needs: kernels(start_ns, end_ns)
-- needs: sources(rank)
-- uses: _shared/rank_times, _shared/clock_segments
WITH timed AS (
    SELECT s.source_id, s.replica, s.rank, k.demangled_name AS name, k.end_ns - k.start_ns AS duration_ns,
           k.start_ns + c.origin_ns + c.offset_ns AS own_ns
    FROM kernels AS k
    JOIN sources AS s USING (source_id)
    JOIN clocks AS c USING (source_id)
    WHERE s.rank IS NOT NULL AND c.origin_ns IS NOT NULL AND NOT starts_with(lower(k.demangled_name), 'nccl')
), aligned AS (
    SELECT t.*, own_ns + coalesce(f.offset_ns + CAST(round(f.drift * (own_ns - f.at_ns)) AS BIGINT), 0) AS at_ns
    FROM timed AS t
    ASOF LEFT JOIN clock_segments AS f ON f.source_id = t.source_id AND t.own_ns >= f.from_ns
), placed AS (
    SELECT t.replica, t.rank, t.name, t.duration_ns, l.iteration
    FROM aligned AS t
    ASOF JOIN rank_times AS l ON t.replica = l.replica AND t.rank = l.rank AND t.at_ns >= l.start_ns
    WHERE t.at_ns <= l.end_ns
), usual AS (
    SELECT replica, rank, name, median(duration_ns) AS duration_ns
    FROM placed
    GROUP BY replica, rank, name
), each AS (
    SELECT p.replica, p.rank, p.iteration, p.name, median(p.duration_ns) / nullif(any_value(u.duration_ns), 0) AS ratio
    FROM placed AS p
    JOIN usual AS u ON u.replica = p.replica AND u.rank = p.rank AND u.name = p.name
    GROUP BY p.replica, p.rank, p.iteration, p.name
)
SELECT replica, rank, iteration, median(ratio) AS pace, avg(CASE WHEN ratio > 1 THEN 1.0 ELSE 0.0 END) AS slower,
       count(*) AS names
FROM each
WHERE ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
GROUP BY replica, rank, iteration
ORDER BY replica, iteration, rank

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
-- uses: _shared/placed_work
WITH placed AS (
    SELECT replica, rank, name, end_ns - start_ns AS duration_ns, iteration
    FROM placed_work
    WHERE work = 'kernel' AND NOT nccl
      AND ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
), usual AS (
    SELECT replica, rank, name, median(duration_ns) AS duration_ns
    FROM placed
    GROUP BY replica, rank, name
), each AS (
    SELECT p.replica, p.rank, p.iteration, p.name, median(p.duration_ns) / nullif(any_value(u.duration_ns), 0) AS ratio
    FROM placed AS p
    JOIN usual AS u ON u.replica IS NOT DISTINCT FROM p.replica AND u.rank = p.rank AND u.name = p.name
    GROUP BY p.replica, p.rank, p.iteration, p.name
)
SELECT replica, rank, iteration, median(ratio) AS pace, avg(CASE WHEN ratio > 1 THEN 1.0 ELSE 0.0 END) AS slower,
       count(*) AS names
FROM each
GROUP BY replica, rank, iteration
ORDER BY replica, iteration, rank

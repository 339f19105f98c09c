-- uses: _shared/nvtx_aligned, _shared/collective_arrivals, _shared/lap_kernels, _shared/rank_states
-- One row a replica, rank and iteration: how its time was spent, ns. Best first: from the kernels launched in
-- its NVTX iteration range (from the first's start to the last's end; compute where any kernel but NCCL's runs,
-- else comm where a collective transfers, else sync where it waits for the last rank, else idle); from NVTX
-- ranges (iteration and collective; what is no collective is compute); from the s records' comm_ms and sync_ms.
-- kept: every chain asks for it, and it sweeps over all kernels
CREATE VIEW rank_times AS
WITH spans AS (
    SELECT source_id, replica, rank, iteration, min(start_ns) AS start_ns, max(end_ns) AS end_ns
    FROM lap_kernels
    GROUP BY source_id, replica, rank, iteration
), together AS (
    SELECT * FROM collective_arrivals WHERE ranks > 1
), calls AS (
    SELECT s.source_id, s.iteration, s.start_ns AS from_ns, s.end_ns AS to_ns, a.arrival_ns, a.leave_ns,
           a.arrival_ns + a.wait_ns AS met_ns
    FROM together AS a
    ASOF JOIN spans AS s ON s.source_id = a.source_id AND s.rank = a.rank AND a.arrival_ns >= s.start_ns
    WHERE a.arrival_ns <= s.end_ns
), alone AS (
    SELECT * FROM lap_kernels AS k
    WHERE k.nccl AND NOT EXISTS (FROM together AS a WHERE a.source_id = k.source_id AND a.arrival_ns = k.start_ns)
), pieces AS (
    SELECT source_id, iteration, 1 AS level, start_ns, end_ns FROM lap_kernels WHERE NOT nccl
    UNION ALL
    SELECT source_id, iteration, 2, met_ns, least(leave_ns, to_ns) FROM calls
    UNION ALL
    SELECT source_id, iteration, 2, start_ns, end_ns FROM alone
    UNION ALL
    SELECT source_id, iteration, 3, arrival_ns, least(met_ns, to_ns) FROM calls
), swept AS (
    -- what a piece adds to the union of those that began before it; each level holds those below
    SELECT p.source_id, p.iteration, l.level, p.end_ns,
           greatest(p.start_ns, coalesce(max(p.end_ns) OVER (
               PARTITION BY p.source_id, p.iteration, l.level ORDER BY p.start_ns, p.end_ns
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), p.start_ns)) AS from_ns
    FROM pieces AS p
    JOIN (VALUES (1), (2), (3)) AS l (level) ON l.level >= p.level
), busy AS (
    SELECT source_id, iteration,
           coalesce(sum(greatest(0, end_ns - from_ns)) FILTER (WHERE level = 1), 0) AS compute_ns,
           coalesce(sum(greatest(0, end_ns - from_ns)) FILTER (WHERE level = 2), 0) AS second_ns,
           coalesce(sum(greatest(0, end_ns - from_ns)) FILTER (WHERE level = 3), 0) AS third_ns
    FROM swept
    GROUP BY source_id, iteration
), by_kernels AS (
    SELECT s.replica, s.rank, s.iteration, s.start_ns, s.end_ns, CAST(b.compute_ns AS BIGINT) AS compute_ns,
           CAST(b.second_ns - b.compute_ns AS BIGINT) AS comm_ns, CAST(b.third_ns - b.second_ns AS BIGINT) AS sync_ns,
           CAST(s.end_ns - s.start_ns - b.third_ns AS BIGINT) AS idle_ns, 'kernels' AS source
    FROM spans AS s
    JOIN busy AS b ON b.source_id = s.source_id AND b.iteration = s.iteration
), aligned AS (
    SELECT source_id, replica, rank, TRY_CAST(keys->>'$.n' AS BIGINT) AS iteration, start_ns, end_ns
    FROM nvtx_aligned
    WHERE kind = 'iteration' AND end_ns IS NOT NULL AND rank IS NOT NULL AND TRY_CAST(keys->>'$.n' AS BIGINT) IS NOT NULL
), inside AS (
    SELECT l.source_id, l.iteration, sum(a.duration_ns) AS duration_ns, sum(a.wait_ns) AS wait_ns
    FROM together AS a
    ASOF JOIN aligned AS l ON a.source_id = l.source_id AND a.arrival_ns >= l.start_ns
    WHERE a.leave_ns <= l.end_ns
    GROUP BY l.source_id, l.iteration
), by_ranges AS (
    SELECT l.replica, l.rank, l.iteration, l.start_ns, l.end_ns,
           CAST(l.end_ns - l.start_ns - i.duration_ns AS BIGINT) AS compute_ns,
           CAST(i.duration_ns - i.wait_ns AS BIGINT) AS comm_ns, CAST(i.wait_ns AS BIGINT) AS sync_ns,
           CAST(0 AS BIGINT) AS idle_ns, 'NVTX ranges' AS source
    FROM aligned AS l
    JOIN inside AS i ON i.source_id = l.source_id AND i.iteration = l.iteration
    ANTI JOIN (SELECT DISTINCT replica, rank FROM by_kernels) AS k ON k.replica IS NOT DISTINCT FROM l.replica AND k.rank = l.rank
), traced AS (
    SELECT * FROM by_kernels
    UNION ALL BY NAME
    SELECT * FROM by_ranges
), told AS (
    SELECT replica, rank, iteration, ts_ns AS start_ns, CAST(ts_ns + round(gpu_ms * 1e6) AS BIGINT) AS end_ns,
           CAST(round((coalesce(comm_ms, 0) - coalesce(sync_ms, 0)) * 1e6) AS BIGINT) AS comm_ns,
           CAST(round(coalesce(sync_ms, 0) * 1e6) AS BIGINT) AS sync_ns, CAST(0 AS BIGINT) AS idle_ns, 's records' AS source
    FROM rank_states
    WHERE rank IS NOT NULL AND ts_ns IS NOT NULL AND gpu_ms IS NOT NULL
)
SELECT replica, rank, iteration, start_ns, end_ns, compute_ns, comm_ns, sync_ns, idle_ns, source
FROM traced
UNION ALL
SELECT told.replica, told.rank, iteration, start_ns, end_ns, end_ns - start_ns - comm_ns - sync_ns, comm_ns, sync_ns, idle_ns, source
FROM told
ANTI JOIN (SELECT DISTINCT replica, rank FROM traced) AS t ON t.replica = told.replica AND t.rank = told.rank

-- uses: _shared/nvtx_aligned, _shared/collective_arrivals, _shared/lap_work, _shared/rank_states, _shared/clock_segments, _shared/record_clocks
-- One row a replica, rank and iteration: how its time was spent, ns. Best first: from the GPU work launched in its
-- NVTX iteration range (from the first's start to the last's end; compute where anything but NCCL's kernels runs, a
-- whole CUDA graph with all that is in it included, else comm where a collective transfers, else sync where it waits for
-- the last rank, else idle); from NVTX ranges (iteration and collective: what is no collective is compute, and idle what
-- lies between two ranges of one iteration); from the s records' comm_ms and sync_ms, all NULL where own_ms of rank_states
-- is. unsure_ns is how sure the clock is that start and end are told by: NULL where nothing tells.
-- kept: every chain asks for it, and it sweeps over all kernels
CREATE VIEW rank_times AS
WITH laps AS (
    SELECT source_id, replica, rank, iteration, min(start_ns) AS start_ns, max(end_ns) AS end_ns, 'kernels' AS source
    FROM lap_work
    GROUP BY source_id, replica, rank, iteration
), ranges AS (
    SELECT source_id, replica, rank, TRY_CAST(keys->>'$.n' AS BIGINT) AS iteration, start_ns, end_ns
    FROM nvtx_aligned AS n
    WHERE kind = 'iteration' AND end_ns IS NOT NULL AND rank IS NOT NULL AND TRY_CAST(keys->>'$.n' AS BIGINT) IS NOT NULL
      AND NOT EXISTS (FROM laps AS l WHERE l.replica IS NOT DISTINCT FROM n.replica AND l.rank = n.rank)
      AND EXISTS (FROM collective_arrivals AS a WHERE a.ranks > 1 AND a.source_id = n.source_id)
), spans AS (
    FROM laps
    UNION ALL
    SELECT source_id, replica, rank, iteration, min(start_ns), max(end_ns), 'NVTX ranges' FROM ranges
    GROUP BY source_id, replica, rank, iteration
), places AS (
    SELECT source_id, rank, iteration, start_ns, end_ns FROM laps
    UNION ALL
    SELECT source_id, rank, iteration, start_ns, end_ns FROM ranges
    QUALIFY NOT coalesce(end_ns <= max(end_ns) OVER (PARTITION BY source_id, iteration ORDER BY start_ns, end_ns DESC
                                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false)
), parts AS (
    -- a collective is its launching iteration's where its kernel is known, else that in which it was called
    SELECT w.source_id, w.iteration, a.arrival_ns, a.arrival_ns + a.wait_ns AS met_ns, a.arrival_ns + a.duration_ns AS left_ns
    FROM collective_arrivals AS a
    JOIN lap_work AS w ON w.source_id = a.source_id AND w.start_ns = a.arrival_ns AND w.nccl
    WHERE a.ranks > 1
    UNION ALL
    SELECT s.source_id, s.iteration, a.arrival_ns, least(a.arrival_ns + a.wait_ns, s.end_ns),
           least(a.arrival_ns + a.duration_ns, s.end_ns)
    FROM collective_arrivals AS a
    ASOF JOIN places AS p ON p.source_id = a.source_id AND p.rank = a.rank AND a.arrival_ns >= p.start_ns
    JOIN spans AS s ON s.source_id = p.source_id AND s.iteration = p.iteration
    WHERE a.ranks > 1 AND NOT starts_with(a.way, 'NCCL kernels') AND a.arrival_ns < p.end_ns
), alone AS (
    SELECT * FROM lap_work AS w
    WHERE w.nccl AND NOT EXISTS (
        FROM collective_arrivals AS a WHERE a.ranks > 1 AND a.source_id = w.source_id AND a.arrival_ns = w.start_ns)
), pieces AS (
    SELECT source_id, iteration, 1 AS level, start_ns, end_ns FROM lap_work WHERE NOT nccl
    UNION ALL
    SELECT source_id, iteration, 2, met_ns, left_ns FROM parts
    UNION ALL
    SELECT source_id, iteration, 2, start_ns, end_ns FROM alone
    UNION ALL
    SELECT source_id, iteration, 3, arrival_ns, met_ns FROM parts
    UNION ALL
    SELECT source_id, iteration, 4, start_ns, end_ns FROM ranges
), swept AS (
    -- what a piece adds to the union of those that began before it; each level holds those below
    SELECT p.source_id, p.iteration, l.level,
           greatest(0, p.end_ns - greatest(p.start_ns, coalesce(max(p.end_ns) OVER (
               PARTITION BY p.source_id, p.iteration, l.level ORDER BY p.start_ns, p.end_ns
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), p.start_ns))) AS more_ns
    FROM pieces AS p
    JOIN (VALUES (1), (2), (3), (4)) AS l (level) ON l.level >= p.level
                                                     AND (l.level < 4 OR p.source_id IN (SELECT source_id FROM ranges))
), busy AS (
    SELECT source_id, iteration, coalesce(sum(more_ns) FILTER (WHERE level = 1), 0) AS first_ns,
           coalesce(sum(more_ns) FILTER (WHERE level = 2), 0) AS second_ns,
           coalesce(sum(more_ns) FILTER (WHERE level = 3), 0) AS third_ns, sum(more_ns) FILTER (WHERE level = 4) AS fourth_ns
    FROM swept
    GROUP BY source_id, iteration
), traced AS (
    SELECT o.replica, o.rank, o.iteration, o.start_ns, o.end_ns,
           CAST(first_ns + coalesce(fourth_ns, third_ns) - third_ns AS BIGINT) AS compute_ns,
           CAST(second_ns - first_ns AS BIGINT) AS comm_ns, CAST(third_ns - second_ns AS BIGINT) AS sync_ns,
           CAST(o.end_ns - o.start_ns - coalesce(fourth_ns, third_ns) AS BIGINT) AS idle_ns, source, o.source_id,
           f.uncertainty_ns AS unsure_ns
    FROM spans AS o
    JOIN busy AS b ON b.source_id = o.source_id AND b.iteration = o.iteration
    ASOF LEFT JOIN clock_segments AS f ON f.source_id = o.source_id AND o.start_ns >= f.from_ns
), told AS (
    SELECT t.replica, t.rank, iteration, ts_ns AS start_ns, CAST(ts_ns + round(gpu_ms * 1e6) AS BIGINT) AS end_ns,
           CASE WHEN own_ms IS NOT NULL
                THEN CAST(round((coalesce(comm_ms, 0) - coalesce(sync_ms, 0)) * 1e6) AS BIGINT) END AS comm_ns,
           CASE WHEN own_ms IS NOT NULL THEN CAST(round(coalesce(sync_ms, 0) * 1e6) AS BIGINT) END AS sync_ns,
           CASE WHEN own_ms IS NOT NULL THEN CAST(0 AS BIGINT) END AS idle_ns, 's records' AS source,
           CAST(NULL AS INTEGER) AS source_id, r.unsure_ns
    FROM rank_states AS t
    LEFT JOIN record_clocks AS r ON r.replica = t.replica AND r.rank = t.rank
    WHERE t.rank IS NOT NULL AND ts_ns IS NOT NULL AND gpu_ms IS NOT NULL
)
FROM traced
UNION ALL BY NAME
SELECT *, end_ns - start_ns - comm_ns - sync_ns AS compute_ns
FROM told
ANTI JOIN (SELECT DISTINCT replica, rank FROM traced) AS t ON t.replica = told.replica AND t.rank = told.rank

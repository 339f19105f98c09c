-- uses: _shared/lap_work, _shared/nsys_gpu_work, _shared/clock_segments, _shared/rank_times, _shared/untied_ranks, _shared/is_before
-- One row a piece of GPU work, whole CUDA graphs apart, and the iteration of its rank that it belongs to: by its launch
-- where the source has iteration ranges (see lap_work), else by the time it began, if that lies within an iteration of the
-- rank's own records beyond what the clocks are unsure (see untied_ranks).
CREATE VIEW placed_work AS
WITH loose AS (
    SELECT s.source_id, s.replica, s.rank, k.global_pid, k.correlation_id, k.work, k.name,
           k.start_ns + c.origin_ns + c.offset_ns AS own_ns, k.end_ns - k.start_ns AS duration_ns
    FROM nsys_gpu_work AS k
    JOIN sources AS s USING (source_id)
    JOIN clocks AS c USING (source_id)
    WHERE s.rank IS NOT NULL AND c.origin_ns IS NOT NULL AND k.source_id NOT IN (SELECT source_id FROM lap_work)
), aligned AS (
    SELECT t.*, own_ns + coalesce(f.offset_ns + CAST(round(f.drift * (own_ns - f.at_ns)) AS BIGINT), 0) AS start_ns,
           f.uncertainty_ns, CASE WHEN u.rank IS NULL THEN start_ns ELSE own_ns END AS at_ns
    FROM loose AS t
    ASOF LEFT JOIN clock_segments AS f ON f.source_id = t.source_id AND t.own_ns >= f.from_ns
    LEFT JOIN untied_ranks AS u ON u.place = coalesce(t.replica, '') AND u.rank = t.rank
), laps AS (
    SELECT *, coalesce(replica, '') AS place FROM rank_times
)
SELECT replica, rank, iteration, source_id, work, name, nccl, start_ns, end_ns, global_pid, correlation_id
FROM lap_work
WHERE work <> 'graph'
UNION ALL
SELECT t.replica, t.rank, l.iteration, t.source_id, t.work, t.name,
       coalesce(t.work = 'kernel' AND starts_with(t.name, 'nccl'), false), t.start_ns, t.start_ns + t.duration_ns, t.global_pid,
       t.correlation_id
FROM aligned AS t
ASOF JOIN laps AS l ON coalesce(t.replica, '') = l.place AND t.rank = l.rank AND t.at_ns >= l.start_ns
WHERE t.at_ns <= l.end_ns
  AND (l.source_id = t.source_id OR t.uncertainty_ns + l.unsure_ns IS NULL
       OR is_before(l.start_ns, t.at_ns, t.uncertainty_ns + l.unsure_ns) AND is_before(t.at_ns, l.end_ns, t.uncertainty_ns + l.unsure_ns))

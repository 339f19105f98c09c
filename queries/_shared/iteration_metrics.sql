-- uses: _shared/clock_segments, _shared/rank_times, _shared/untied_ranks, _shared/is_before
-- One row a replica, rank, iteration and GPU metric: the mean of the samples that fell into the iteration, and how many.
-- Of the GPUs that a source sampled, those on which its kernels and CUDA graphs ran; where that is not known, its only one,
-- else none. An iteration timed by the rank's records holds a sample only beyond what the two clocks are unsure (see
-- untied_ranks). All metrics of a source are sampled at once: each moment is placed once, for all its samples.
-- kept: a scan and a chain ask for it, and it places every sample
CREATE VIEW iteration_metrics AS
WITH ran AS (
    SELECT DISTINCT k.source_id, d.gpu_id
    FROM (SELECT source_id, global_pid, device_id FROM kernels
          UNION
          SELECT source_id, global_pid, device_id FROM graph_launches) AS k
    JOIN gpu_devices AS d ON d.source_id = k.source_id AND d.device_id = k.device_id
                             AND (d.pid IS NULL OR d.pid = (k.global_pid >> 24) & 16777215)
), sampled AS MATERIALIZED (
    SELECT DISTINCT source_id, gpu_id FROM gpu_metrics
), used AS (
    SELECT source_id, gpu_id
    FROM sampled AS m
    WHERE source_id IN (SELECT source_id FROM sampled GROUP BY source_id HAVING count(gpu_id) <= 1)
          AND source_id NOT IN (SELECT source_id FROM ran)
       OR EXISTS (FROM ran AS r WHERE r.source_id = m.source_id AND r.gpu_id = m.gpu_id)
), timed AS (
    SELECT s.source_id, s.replica, s.rank, m.t_ns, m.t_ns + c.origin_ns + c.offset_ns AS own_ns
    FROM (SELECT DISTINCT source_id, t_ns FROM gpu_metrics) AS m
    JOIN sources AS s USING (source_id)
    JOIN clocks AS c USING (source_id)
    WHERE s.rank IS NOT NULL AND c.origin_ns IS NOT NULL
), aligned AS (
    SELECT t.*, f.uncertainty_ns,
           own_ns + CASE WHEN u.rank IS NULL THEN coalesce(f.offset_ns + CAST(round(f.drift * (own_ns - f.at_ns)) AS BIGINT), 0)
                         ELSE 0 END AS at_ns
    FROM timed AS t
    ASOF LEFT JOIN clock_segments AS f ON f.source_id = t.source_id AND t.own_ns >= f.from_ns
    LEFT JOIN untied_ranks AS u ON u.place = coalesce(t.replica, '') AND u.rank = t.rank
), laps AS (
    SELECT *, coalesce(replica, '') AS place FROM rank_times
), placed AS (
    SELECT t.replica, t.rank, l.iteration, t.source_id, t.t_ns
    FROM aligned AS t
    ASOF JOIN laps AS l ON coalesce(t.replica, '') = l.place AND t.rank = l.rank AND t.at_ns >= l.start_ns
    WHERE t.at_ns <= l.end_ns
      AND (l.source_id = t.source_id OR t.uncertainty_ns + l.unsure_ns IS NULL
           OR is_before(l.start_ns, t.at_ns, t.uncertainty_ns + l.unsure_ns) AND is_before(t.at_ns, l.end_ns, t.uncertainty_ns + l.unsure_ns))
)
SELECT p.replica, p.rank, p.iteration, m.metric,
       -- a metric's name tells its kind, reason and family
       first(m.kind) AS kind, first(m.reason) AS reason, first(m.family) AS family,
       avg(m.value) AS value, count(m.value) AS samples
FROM placed AS p
JOIN gpu_metrics AS m USING (source_id, t_ns)
JOIN used AS u ON u.source_id = m.source_id AND u.gpu_id IS NOT DISTINCT FROM m.gpu_id
GROUP BY p.replica, p.rank, p.iteration, m.metric

-- uses: _shared/regime_rows
-- One row an unbroken stretch of iterations of one regime: of each rank, and of the replica (rank NULL), which is
-- in the regime of its worst rank, since collectives couple them. Iterations without a regime break a stretch.
CREATE VIEW regime_spans AS
WITH ranked AS (
    SELECT replica, rank, iteration, ts_ns, gpu_ms, regime, severity, reason
    FROM regime_rows
    WHERE level = 'rank' AND rank IS NOT NULL AND ts_ns IS NOT NULL
), replicas AS (
    SELECT replica, NULL AS rank, iteration, min(ts_ns) AS ts_ns, max(gpu_ms) AS gpu_ms,
           arg_max(regime, severity) AS regime, max(severity) AS severity,
           arg_max('rank ' || rank || ': ' || reason, (severity, -rank)) AS reason
    FROM ranked
    GROUP BY replica, iteration
    UNION ALL
    SELECT replica, NULL, iteration, ts_ns, gpu_ms, regime, severity, reason
    FROM regime_rows
    WHERE level = 'rank' AND rank IS NULL AND ts_ns IS NOT NULL
), every_one AS (
    SELECT * FROM ranked
    UNION ALL
    SELECT * FROM replicas
), marked AS (
    SELECT *, regime IS DISTINCT FROM lag(regime) OVER each AS new,
           lead(ts_ns) OVER each AS next_ns
    FROM every_one
    WINDOW each AS (PARTITION BY replica, rank ORDER BY iteration)
), numbered AS (
    SELECT *, count(*) FILTER (WHERE new) OVER (PARTITION BY replica, rank ORDER BY iteration) AS span
    FROM marked
)
SELECT replica, rank, span, min(ts_ns) AS start_ns,
       max(coalesce(next_ns, CAST(ts_ns + coalesce(gpu_ms, 0) * 1e6 AS BIGINT))) AS end_ns,
       min(iteration) AS first_iteration, max(iteration) AS last_iteration, count(*) AS iterations,
       any_value(regime) AS regime, any_value(severity) AS severity, arg_min(reason, iteration) AS reason
FROM numbered
WHERE regime IS NOT NULL
GROUP BY replica, rank, span

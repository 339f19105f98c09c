-- uses: _shared/regime_rows, _shared/replica_regimes
-- One row an unbroken stretch of iterations of one regime: of each rank, and of the replica (rank NULL), which is
-- in the regime of its worst rank, since collectives couple them. Iterations without a regime break a stretch.
CREATE VIEW regime_spans AS
WITH every_one AS (
    SELECT replica, rank, iteration, ts_ns, gpu_ms, regime, severity, reason
    FROM regime_rows
    WHERE level = 'rank' AND rank IS NOT NULL AND ts_ns IS NOT NULL
    UNION ALL
    SELECT replica, NULL, iteration, ts_ns, gpu_ms, regime, severity, reason
    FROM replica_regimes
    WHERE ts_ns IS NOT NULL
), marked AS (
    SELECT *, regime IS DISTINCT FROM lag(regime) OVER each AS new,
           lead(ts_ns) OVER each AS next_ns
    FROM every_one
    WINDOW each AS (PARTITION BY replica, rank ORDER BY iteration)
), numbered AS (
    SELECT *, count(CASE WHEN new THEN 1 END) OVER (PARTITION BY replica, rank ORDER BY iteration) AS span
    FROM marked
)
SELECT replica, rank, span, min(ts_ns) AS start_ns,
       max(coalesce(next_ns, CAST(ts_ns + coalesce(gpu_ms, 0) * 1e6 AS BIGINT))) AS end_ns,
       min(iteration) AS first_iteration, max(iteration) AS last_iteration, count(*) AS iterations,
       any_value(regime) AS regime, any_value(severity) AS severity, arg_min(reason, iteration) AS reason
FROM numbered
WHERE regime IS NOT NULL
GROUP BY replica, rank, span

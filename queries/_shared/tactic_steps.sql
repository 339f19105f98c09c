-- uses: _shared/steps, _shared/step_regimes, _shared/iteration_phases, _shared/iteration_shapes, _shared/shape_key
-- uses: _shared/shape_rest
-- One row a request and decode step whose tactic was recorded: tactic, shape and phase of its iteration. Of a step
-- without an iteration, shape and regime are its own record's. Of a replica whose requests recorded no tactic: one row a
-- rank (or the engine) and iteration.
CREATE VIEW tactic_steps AS
WITH asked AS (
    SELECT req_id, step, replica, iteration, algo_id, kernel_variant, batch_size, shape
    FROM steps
    WHERE algo_id IS NOT NULL OR kernel_variant IS NOT NULL
), ran AS (
    FROM asked
    UNION ALL
    SELECT NULL, NULL, replica, iteration, algo_id, kernel_variant, batch_size, shape
    FROM s_records
    WHERE req_id IS NULL AND (algo_id IS NOT NULL OR kernel_variant IS NOT NULL)
      AND replica NOT IN (SELECT replica FROM asked WHERE replica IS NOT NULL)
), alone AS (
    SELECT req_id, step, CASE WHEN min(regime) = 'normal' AND max(regime) = 'normal' THEN 'calm'
                              WHEN min(regime) IS NOT NULL THEN 'pressured' END AS phase
    FROM step_regimes
    WHERE replica IS NULL OR iteration IS NULL
    GROUP BY req_id, step
)
SELECT r.req_id, r.step, r.replica, r.iteration, r.algo_id, r.kernel_variant, coalesce(p.phase, a.phase) AS phase,
       CASE WHEN i.replica IS NOT NULL THEN i.tokens
            ELSE coalesce(r.batch_size, shape_key(r.shape, 'b')) + coalesce(shape_key(r.shape, 'q'), 1) - 1 END AS tokens,
       CASE WHEN i.replica IS NOT NULL THEN i.longest ELSE shape_key(r.shape, 'k') END AS longest,
       CASE WHEN i.replica IS NOT NULL THEN i.rest ELSE shape_rest(r.shape) END AS rest
FROM ran AS r
LEFT JOIN iteration_phases AS p ON p.replica = r.replica AND p.iteration = r.iteration
LEFT JOIN iteration_shapes AS i ON i.replica = r.replica AND i.iteration = r.iteration
LEFT JOIN alone AS a ON (r.replica IS NULL OR r.iteration IS NULL) AND a.req_id = r.req_id AND a.step = r.step

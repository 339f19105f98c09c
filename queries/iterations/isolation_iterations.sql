-- Isolation posture, iteration by iteration, beside what it may cost: batch, tenants in it, queue, waiting, regime.
-- One row a replica and iteration whose posture was recorded. pressed_by is the regime that it would be in but for
-- isolation, which stands first in the order of tests and would hide it. It can't tell why the posture changed.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: iteration BIGINT - — the engine's step counter
-- column: isolation_mode VARCHAR - — shared or strict
-- column: batch_size BIGINT sequences — in the batch
-- column: tenants BIGINT tenants — that shared the batch; NULL: no tenant recorded
-- column: sequences_per_s DOUBLE sequences/s — batch over the iteration's length
-- column: token_gap_ms DOUBLE ms — median time since its requests' previous token
-- column: first_wait_ms DOUBLE ms — mean wait of requests that got their first token; NULL: none did
-- column: queue_p95_ms DOUBLE ms — as the engine says it
-- column: pressed_by VARCHAR - — regime but for isolation; NULL: nothing recorded that decides it
-- column: crossed BOOLEAN - — whether that changed since the iteration before
-- needs: s_records(replica, iteration, isolation_mode)
-- uses: _shared/engine_iterations, _shared/replica_regimes, _shared/steps
WITH gaps AS (
    SELECT replica, iteration, req_id, step, queue_ms,
           CASE WHEN step = lag(step) OVER each + 1 THEN (ts_ns - lag(ts_ns) OVER each) / 1e6 END AS gap_ms
    FROM steps
    WHERE replica IS NOT NULL AND iteration IS NOT NULL
    WINDOW each AS (PARTITION BY req_id ORDER BY step)
), felt AS (
    SELECT g.replica, g.iteration, median(gap_ms) AS token_gap_ms, avg(queue_ms) FILTER (WHERE step = 0) AS first_wait_ms,
           nullif(count(DISTINCT tenant), 0) AS tenants
    FROM gaps AS g
    LEFT JOIN x_records AS x ON x.req_id = g.req_id
    GROUP BY g.replica, g.iteration
), joined AS (
    SELECT e.replica, e.iteration, e.isolation_mode, e.batch_size, f.tenants,
           1000.0 * e.batch_size / nullif(e.gpu_ms, 0) AS sequences_per_s, f.token_gap_ms, f.first_wait_ms, e.queue_p95_ms,
           r.pressure, lag(r.pressure) OVER (PARTITION BY e.replica ORDER BY e.iteration) AS pressure_before
    FROM engine_iterations AS e
    LEFT JOIN felt AS f ON f.replica = e.replica AND f.iteration = e.iteration
    LEFT JOIN replica_regimes AS r ON r.replica = e.replica AND r.iteration = e.iteration
)
SELECT replica, iteration, isolation_mode, batch_size, tenants, sequences_per_s, token_gap_ms, first_wait_ms, queue_p95_ms,
       CASE pressure WHEN 4 THEN 'memory_evaporation' WHEN 3 THEN 'paging' WHEN 2 THEN 'memory_pressured'
                     WHEN 1 THEN 'queue_degraded' WHEN 0 THEN 'normal' END AS pressed_by,
       pressure <> pressure_before AS crossed
FROM joined
WHERE isolation_mode IS NOT NULL AND ($replica IS NULL OR replica = $replica)
ORDER BY replica, iteration

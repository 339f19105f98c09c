-- uses: _shared/rank_states, _shared/steps, _shared/regime_limits
-- The regime of every step of a request (level 'step': the engine's view, else the lowest rank's), of every rank and iteration
-- (level 'rank'; rank NULL: the engine's own view, where no rank made records), and, beside ranks, of the engine
-- (level 'engine'), by the regime function of docs/reading-a-regime.md in its order of tests; plain_regime is by the
-- plain function there, which knows neither pins nor the pool. Limits stand in regime_limits. regime is NULL
-- where nothing that decides it was recorded; severity counts the tests from the last: 0 is normal. A rank that did
-- not record isolation or queue itself has the engine's, which are the scheduler's and so every rank's; the engine's
-- memory and paging count beside ranks only in iterations in which no rank recorded its own.
CREATE VIEW regime_rows AS
WITH engine AS (
    SELECT replica, iteration, min(ts_ns) AS ts_ns, max(gpu_ms) AS gpu_ms, max(isolation_mode) AS isolation_mode,
           bool_or(paging_on) AS paging_on, max(queue_p95_ms) AS queue_p95_ms, min(vram_free_mb) AS vram_free_mb,
           max(kv_pool_total_mb) AS kv_pool_total_mb, max(isr_pinned_mb) AS isr_pinned_mb,
           max(ckpt_pinned_mb) AS ckpt_pinned_mb
    FROM s_records
    WHERE rank IS NULL AND replica IS NOT NULL AND iteration IS NOT NULL
      AND replica IN (FROM rank_states SELECT replica WHERE rank IS NOT NULL)
    GROUP BY replica, iteration
), told AS (
    SELECT replica, iteration, bool_or(paging_on IS NOT NULL) AS paging, bool_or(vram_free_mb IS NOT NULL) AS memory
    FROM rank_states
    WHERE rank IS NOT NULL
    GROUP BY replica, iteration
), states AS (
    SELECT 'step' AS level, replica, NULL AS rank, iteration, req_id, step, ts_ns, gpu_ms, isolation_mode, paging_on,
           queue_p95_ms, vram_free_mb, kv_pool_total_mb, isr_pinned_mb, ckpt_pinned_mb
    FROM steps
    UNION ALL
    SELECT 'rank', r.replica, r.rank, r.iteration, NULL, NULL, r.ts_ns, r.gpu_ms,
           coalesce(r.isolation_mode, e.isolation_mode), r.paging_on, coalesce(r.queue_p95_ms, e.queue_p95_ms),
           r.vram_free_mb, r.kv_pool_total_mb, r.isr_pinned_mb, r.ckpt_pinned_mb
    FROM rank_states AS r
    LEFT JOIN engine AS e ON e.replica = r.replica AND e.iteration = r.iteration
    UNION ALL
    SELECT 'engine', e.replica, NULL, e.iteration, NULL, NULL, e.ts_ns, e.gpu_ms, e.isolation_mode,
           CASE WHEN NOT coalesce(t.paging, false) THEN e.paging_on END, e.queue_p95_ms,
           CASE WHEN NOT coalesce(t.memory, false) THEN e.vram_free_mb END,
           CASE WHEN NOT coalesce(t.memory, false) THEN e.kv_pool_total_mb END,
           CASE WHEN NOT coalesce(t.memory, false) THEN e.isr_pinned_mb END,
           CASE WHEN NOT coalesce(t.memory, false) THEN e.ckpt_pinned_mb END
    FROM engine AS e
    LEFT JOIN told AS t ON t.replica = e.replica AND t.iteration = e.iteration
), weighed AS (
    SELECT *, vram_free_mb - coalesce(isr_pinned_mb, 0) - coalesce(ckpt_pinned_mb, 0) AS effective_free_mb
    FROM states
)
SELECT w.level, w.replica, w.rank, w.iteration, w.req_id, w.step, w.ts_ns, w.gpu_ms, w.effective_free_mb,
       w.vram_free_mb, w.kv_pool_total_mb, coalesce(w.isr_pinned_mb, 0) AS isr_pinned_mb,
       coalesce(w.ckpt_pinned_mb, 0) AS ckpt_pinned_mb, w.isolation_mode, w.paging_on, w.queue_p95_ms,
       l.share AS limit_share, l.free_mb AS limit_mb, l.queue_ms AS limit_queue_ms,
       coalesce(w.isolation_mode, w.paging_on::VARCHAR, w.effective_free_mb::VARCHAR, w.queue_p95_ms::VARCHAR)
           IS NOT NULL AS told,
       CASE
           WHEN w.isolation_mode = 'strict' THEN 'isolation_strict'
           WHEN w.paging_on THEN 'paging'
           WHEN w.vram_free_mb < l.free_mb THEN 'memory_pressured'
           WHEN w.queue_p95_ms > l.queue_ms THEN 'queue_degraded'
           WHEN told THEN 'normal'
       END AS plain_regime,
       -- the severity but for isolation: what stands below it in the order of tests; NULL where nothing else was recorded
       CASE
           WHEN w.kv_pool_total_mb > 0 AND w.effective_free_mb / w.kv_pool_total_mb < l.share THEN 4
           WHEN w.paging_on THEN 3
           WHEN w.effective_free_mb < l.free_mb THEN 2
           WHEN w.queue_p95_ms > l.queue_ms THEN 1
           WHEN coalesce(w.paging_on::VARCHAR, w.effective_free_mb::VARCHAR, w.queue_p95_ms::VARCHAR) IS NOT NULL THEN 0
       END AS pressure,
       CASE WHEN w.isolation_mode = 'strict' THEN 5 WHEN told THEN coalesce(pressure, 0) END AS severity,
       CASE severity WHEN 5 THEN 'isolation_strict' WHEN 4 THEN 'memory_evaporation' WHEN 3 THEN 'paging'
                     WHEN 2 THEN 'memory_pressured' WHEN 1 THEN 'queue_degraded' WHEN 0 THEN 'normal' END AS regime,
       CASE regime
           WHEN 'isolation_strict' THEN 'isolation is strict'
           WHEN 'memory_evaporation' THEN format(
               '{:.0f} of {:.0f} MiB free once {:.0f} MiB of replication and {:.0f} MiB of checkpoint pins are taken off: '
               'below {:g} %', w.effective_free_mb, w.kv_pool_total_mb, coalesce(w.isr_pinned_mb, 0),
               coalesce(w.ckpt_pinned_mb, 0), 100 * l.share)
           WHEN 'paging' THEN 'paging is on'
           WHEN 'memory_pressured' THEN format('{:.0f} MiB free', w.effective_free_mb)
               || CASE WHEN w.vram_free_mb > w.effective_free_mb
                       THEN format(' once {:.0f} MiB of pins are taken off', w.vram_free_mb - w.effective_free_mb)
                       ELSE '' END
               || format(': under {:g}', l.free_mb)
           WHEN 'queue_degraded' THEN format('queue p95 {:.1f} ms: over {:g}', w.queue_p95_ms, l.queue_ms)
       END AS reason
FROM weighed AS w, regime_limits AS l

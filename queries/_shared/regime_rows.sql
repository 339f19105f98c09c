-- uses: _shared/rank_states
-- The regime of every s record of a request (level 'step', the engine's view) and of every rank and
-- iteration (level 'rank'; rank NULL: the engine's own view, where no rank made records), by the article's
-- extended function in its order of tests. Limits are the article's (5 % of the pool, 1024 MiB, 50 ms) unless
-- bundle.toml sets [regimes] memory_evaporation_share, memory_pressured_mb or queue_degraded_ms. regime is NULL
-- where nothing that decides it was recorded; severity counts the tests from the last: 0 is normal.
CREATE VIEW regime_rows AS
WITH limits AS (
    SELECT coalesce(max(TRY_CAST(value AS DOUBLE)) FILTER (WHERE key = 'regimes.memory_evaporation_share'), 0.05) AS share,
           coalesce(max(TRY_CAST(value AS DOUBLE)) FILTER (WHERE key = 'regimes.memory_pressured_mb'), 1024) AS free_mb,
           coalesce(max(TRY_CAST(value AS DOUBLE)) FILTER (WHERE key = 'regimes.queue_degraded_ms'), 50) AS queue_ms
    FROM bundle
), states AS (
    SELECT 'step' AS level, replica, NULL AS rank, iteration, req_id, step, ts_ns, gpu_ms, isolation_mode, paging_on,
           queue_p95_ms, vram_free_mb, kv_pool_total_mb, isr_pinned_mb, ckpt_pinned_mb
    FROM s_records
    WHERE req_id IS NOT NULL AND rank IS NULL
    UNION ALL
    SELECT 'rank', replica, rank, iteration, NULL, NULL, ts_ns, gpu_ms, isolation_mode, paging_on,
           queue_p95_ms, vram_free_mb, kv_pool_total_mb, isr_pinned_mb, ckpt_pinned_mb
    FROM rank_states
), weighed AS (
    SELECT *, vram_free_mb - coalesce(isr_pinned_mb, 0) - coalesce(ckpt_pinned_mb, 0) AS effective_free_mb
    FROM states
)
SELECT w.level, w.replica, w.rank, w.iteration, w.req_id, w.step, w.ts_ns, w.gpu_ms, w.effective_free_mb,
       CASE
           WHEN w.isolation_mode = 'strict' THEN 'isolation_strict'
           WHEN w.kv_pool_total_mb > 0 AND w.effective_free_mb / w.kv_pool_total_mb < l.share THEN 'memory_evaporation'
           WHEN w.paging_on THEN 'paging'
           WHEN w.effective_free_mb < l.free_mb THEN 'memory_pressured'
           WHEN w.queue_p95_ms > l.queue_ms THEN 'queue_degraded'
           WHEN coalesce(w.isolation_mode, w.paging_on::VARCHAR, w.effective_free_mb::VARCHAR, w.queue_p95_ms::VARCHAR)
                IS NOT NULL THEN 'normal'
       END AS regime,
       CASE regime WHEN 'isolation_strict' THEN 5 WHEN 'memory_evaporation' THEN 4 WHEN 'paging' THEN 3
                   WHEN 'memory_pressured' THEN 2 WHEN 'queue_degraded' THEN 1 WHEN 'normal' THEN 0 END AS severity,
       CASE regime
           WHEN 'isolation_strict' THEN 'isolation is strict'
           WHEN 'memory_evaporation' THEN format(
               '{:.0f} of {:.0f} MiB free once {:.0f} MiB of replication and {:.0f} MiB of checkpoint pins are taken off: '
               'below {:g} %', w.effective_free_mb, w.kv_pool_total_mb, coalesce(w.isr_pinned_mb, 0),
               coalesce(w.ckpt_pinned_mb, 0), 100 * l.share)
           WHEN 'paging' THEN 'paging is on'
           WHEN 'memory_pressured' THEN format(
               '{:.0f} MiB free once {:.0f} MiB of pins are taken off: under {:g}', w.effective_free_mb,
               w.vram_free_mb - w.effective_free_mb, l.free_mb)
           WHEN 'queue_degraded' THEN format('queue p95 {:.1f} ms: over {:g}', w.queue_p95_ms, l.queue_ms)
       END AS reason
FROM weighed AS w, limits AS l

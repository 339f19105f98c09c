-- One row an s record of a request: the regime that it ran in, by the article's extended function, in
-- its order of tests. The limits are the article's: 5 % of the pool, 1024 MiB, 50 ms.
CREATE VIEW step_regimes AS
SELECT req_id, step, replica, iteration, ts_ns,
       CASE
           WHEN isolation_mode = 'strict' THEN 'isolation_strict'
           WHEN kv_pool_total_mb > 0 AND (vram_free_mb - coalesce(isr_pinned_mb, 0) - coalesce(ckpt_pinned_mb, 0))
                / kv_pool_total_mb < 0.05 THEN 'memory_evaporation'
           WHEN paging_on THEN 'paging'
           WHEN vram_free_mb - coalesce(isr_pinned_mb, 0) - coalesce(ckpt_pinned_mb, 0) < 1024 THEN 'memory_pressured'
           WHEN queue_p95_ms > 50 THEN 'queue_degraded'
           ELSE 'normal'
       END AS regime
FROM s_records
WHERE req_id IS NOT NULL AND rank IS NULL

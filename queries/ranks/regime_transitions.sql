-- When each rank and each replica left one regime for another, and what pushed it over.
-- One row a change between two successive iterations that both have a regime. figure is the one that decided: of the
-- worse of the two regimes; for a replica it is that of the rank that decided. moved_by lists the terms of the
-- figure that moved that way since the iteration before, the largest first. It can't tell what moved a term.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank; NULL: the replica
-- column: iteration BIGINT - — first iteration in the new regime
-- column: at_ns BIGINT ns — its start, UTC epoch
-- column: regime_before VARCHAR - — regime that it left
-- column: regime VARCHAR - — regime that it entered
-- column: worse BOOLEAN - — whether the new one stands earlier in the order of tests
-- column: by_rank INTEGER - — rank whose figure decided; NULL: the engine's own
-- column: figure VARCHAR - — isolation, free share of the pool, paging, free memory or queue p95
-- column: value DOUBLE - — the figure in the new regime, in its unit; NULL: isolation, paging
-- column: value_before DOUBLE - — the figure in the iteration before
-- column: limit_value DOUBLE - — its limit
-- column: unit VARCHAR - — unit of the three
-- column: moved_by VARCHAR - — fields of s records that moved the figure, each with its change
-- needs: s_records(replica, iteration, ts_ns)
-- uses: _shared/regime_rows, _shared/replica_regimes
WITH every_one AS (
    SELECT replica, rank, iteration, ts_ns, regime, severity, level, rank AS by_rank
    FROM regime_rows
    WHERE level = 'rank' AND rank IS NOT NULL
    UNION ALL
    SELECT replica, NULL, iteration, ts_ns, regime, severity, level, rank
    FROM replica_regimes
), pairs AS (
    SELECT *, lag(regime) OVER each AS regime_before, lag(severity) OVER each AS severity_before,
           lag(iteration) OVER each AS iteration_before, lag(level) OVER each AS level_before,
           lag(by_rank) OVER each AS by_rank_before
    FROM every_one
    WINDOW each AS (PARTITION BY replica, rank ORDER BY iteration)
), changes AS (
    SELECT *, severity > severity_before AS worse, CASE WHEN severity > severity_before THEN regime ELSE regime_before END AS told_by,
           CASE WHEN severity > severity_before THEN level ELSE level_before END AS by_level,
           CASE WHEN severity > severity_before THEN by_rank ELSE by_rank_before END AS who
    FROM pairs
    WHERE regime <> regime_before
), figures AS (
    SELECT c.replica, c.rank, c.iteration, c.ts_ns, c.regime_before, c.regime, c.worse, c.who, c.told_by,
           now.limit_share, now.limit_mb, now.limit_queue_ms, now.queue_p95_ms, old.queue_p95_ms AS old_queue,
           now.effective_free_mb AS free, old.effective_free_mb AS old_free,
           now.effective_free_mb / nullif(now.kv_pool_total_mb, 0) AS ratio,
           old.effective_free_mb / nullif(old.kv_pool_total_mb, 0) AS old_ratio,
           list_sort(list_filter([
               {'order': -abs(now.vram_free_mb - old.vram_free_mb), 'field': 'vram_free_mb',
                'moved': now.vram_free_mb - old.vram_free_mb, 'frees': now.vram_free_mb - old.vram_free_mb},
               {'order': -abs(now.isr_pinned_mb - old.isr_pinned_mb), 'field': 'isr_pinned_mb',
                'moved': now.isr_pinned_mb - old.isr_pinned_mb, 'frees': old.isr_pinned_mb - now.isr_pinned_mb},
               {'order': -abs(now.ckpt_pinned_mb - old.ckpt_pinned_mb), 'field': 'ckpt_pinned_mb',
                'moved': now.ckpt_pinned_mb - old.ckpt_pinned_mb, 'frees': old.ckpt_pinned_mb - now.ckpt_pinned_mb}
           ], lambda t: CASE WHEN c.worse THEN t.frees < 0 ELSE t.frees > 0 END)) AS terms
    FROM changes AS c
    LEFT JOIN regime_rows AS now ON now.level = c.by_level AND now.replica = c.replica
        AND now.iteration = c.iteration AND now.rank IS NOT DISTINCT FROM c.who
    LEFT JOIN regime_rows AS old ON old.level = c.by_level AND old.replica = c.replica
        AND old.iteration = c.iteration_before AND old.rank IS NOT DISTINCT FROM c.who
)
SELECT replica, rank, iteration, ts_ns AS at_ns, regime_before, regime, worse, who AS by_rank,
       CASE told_by WHEN 'isolation_strict' THEN 'isolation' WHEN 'memory_evaporation' THEN 'free share of the pool'
                    WHEN 'paging' THEN 'paging' WHEN 'memory_pressured' THEN 'free memory' ELSE 'queue p95' END AS figure,
       CASE told_by WHEN 'memory_evaporation' THEN 100 * ratio WHEN 'memory_pressured' THEN free
                    WHEN 'queue_degraded' THEN queue_p95_ms END AS value,
       CASE told_by WHEN 'memory_evaporation' THEN 100 * old_ratio WHEN 'memory_pressured' THEN old_free
                    WHEN 'queue_degraded' THEN old_queue END AS value_before,
       CASE told_by WHEN 'memory_evaporation' THEN 100 * limit_share WHEN 'memory_pressured' THEN limit_mb
                    WHEN 'queue_degraded' THEN limit_queue_ms END AS limit_value,
       CASE told_by WHEN 'memory_evaporation' THEN '%' WHEN 'memory_pressured' THEN 'MiB' WHEN 'queue_degraded' THEN 'ms' END AS unit,
       CASE told_by WHEN 'isolation_strict' THEN 'isolation_mode' WHEN 'paging' THEN 'paging_on'
                    WHEN 'queue_degraded' THEN format('queue_p95_ms {:+.1f} ms', queue_p95_ms - old_queue)
                    ELSE list_aggregate([format('{} {:+.1f} MiB', t.field, t.moved)
                                         FOR t IN terms], 'string_agg', ', ') END AS moved_by
FROM figures
WHERE $replica IS NULL OR replica = $replica
ORDER BY replica, rank NULLS FIRST, iteration

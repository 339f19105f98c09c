-- Where a regime function that knows neither pins nor the pool underestimates the pressure.
-- One row an unbroken stretch of iterations of a rank in which the plain regime function (free memory, paging,
-- isolation, queue) and its extended one disagree in one way: pressure that a monitor with the first would not have
-- shown. rank NULL is the engine's own view, where no rank made records. It can't tell pins that nobody recorded.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank; NULL: the engine's own view
-- column: first_iteration BIGINT - — its first iteration
-- column: last_iteration BIGINT - — its last
-- column: iterations BIGINT iterations — recorded in it
-- column: plain_regime VARCHAR - — regime by the first function
-- column: regime VARCHAR - — regime by the extended one
-- column: pinned_mb DOUBLE MiB — most that both pins held together
-- column: vram_free_mb DOUBLE MiB — least free memory before pins
-- column: effective_free_mb DOUBLE MiB — least free memory once pins are taken off
-- needs: s_records(replica, iteration, vram_free_mb)
-- uses: _shared/regime_rows
WITH marked AS (
    SELECT *, concat_ws(' ', plain_regime, regime) AS pair
    FROM regime_rows
    WHERE level = 'rank'
), numbered AS (
    SELECT *, count(CASE WHEN new THEN 1 END) OVER (PARTITION BY replica, rank ORDER BY iteration) AS span
    FROM (SELECT *, pair IS DISTINCT FROM lag(pair) OVER (PARTITION BY replica, rank ORDER BY iteration) AS new FROM marked)
)
SELECT replica, rank, min(iteration) AS first_iteration, max(iteration) AS last_iteration, count(*) AS iterations,
       any_value(plain_regime) AS plain_regime, any_value(regime) AS regime,
       max(isr_pinned_mb + ckpt_pinned_mb) AS pinned_mb, min(vram_free_mb) AS vram_free_mb,
       min(effective_free_mb) AS effective_free_mb
FROM numbered
WHERE numbered.plain_regime <> numbered.regime AND ($replica IS NULL OR replica = $replica)
GROUP BY replica, rank, span
ORDER BY replica, rank NULLS FIRST, first_iteration

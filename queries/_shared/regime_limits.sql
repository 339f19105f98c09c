-- One row: the limits of the regimes as bundle.toml sets them under [regimes] (memory_evaporation_share,
-- memory_pressured_mb, queue_degraded_ms), else those of the regime function that docs/reading-a-regime.md writes out:
-- 5 % of the pool free, 1024 MiB free, 50 ms at the 95th percentile.
CREATE VIEW regime_limits AS
SELECT coalesce(max(TRY_CAST(value AS DOUBLE)) FILTER (WHERE key = 'regimes.memory_evaporation_share'), 0.05) AS share,
       coalesce(max(TRY_CAST(value AS DOUBLE)) FILTER (WHERE key = 'regimes.memory_pressured_mb'), 1024) AS free_mb,
       coalesce(max(TRY_CAST(value AS DOUBLE)) FILTER (WHERE key = 'regimes.queue_degraded_ms'), 50) AS queue_ms
FROM bundle

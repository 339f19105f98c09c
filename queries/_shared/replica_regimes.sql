-- uses: _shared/regime_rows
-- One row a replica and iteration: the regime of its worst rank, since collectives couple them. level and rank name
-- the row of regime_rows that decided: on a tie the engine's own (no rank is to blame), else that of the
-- rank with the least effective free memory. pressure is the worst severity but for isolation.
CREATE VIEW replica_regimes AS
WITH worst AS (
    SELECT replica, iteration, coalesce(min(ts_ns) FILTER (WHERE level = 'rank'), min(ts_ns)) AS ts_ns,
           coalesce(max(gpu_ms) FILTER (WHERE level = 'rank'), max(gpu_ms)) AS gpu_ms,
           max(pressure) AS pressure,
           arg_max({'level': level, 'rank': rank, 'regime': regime, 'severity': severity, 'reason': reason},
                   (coalesce(severity, -1), CASE WHEN rank IS NULL THEN 1 ELSE 0 END, -coalesce(effective_free_mb, 1e300),
                    coalesce(-rank, 0))) AS top
    FROM regime_rows
    WHERE level <> 'step'
    GROUP BY replica, iteration
)
SELECT replica, iteration, ts_ns, gpu_ms, top.level AS level, top.rank AS rank, top.regime AS regime,
       top.severity AS severity, pressure,
       CASE WHEN top.rank IS NULL THEN top.reason ELSE 'rank ' || top.rank || ': ' || top.reason END AS reason
FROM worst

-- uses: _shared/regime_rows, _shared/replica_regimes
-- One row an s record of a request: the regime that it ran in, its replica's in that iteration.
CREATE VIEW step_regimes AS
SELECT s.req_id, s.step, s.replica, s.iteration, s.ts_ns, coalesce(r.regime, s.regime) AS regime,
       coalesce(r.severity, s.severity) AS severity
FROM regime_rows AS s
LEFT JOIN replica_regimes AS r ON r.replica = s.replica AND r.iteration = s.iteration
WHERE s.level = 'step'

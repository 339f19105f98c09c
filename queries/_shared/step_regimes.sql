-- uses: _shared/regime_rows
-- One row an s record of a request: the regime that it ran in.
CREATE VIEW step_regimes AS
SELECT req_id, step, replica, iteration, ts_ns, regime
FROM regime_rows
WHERE level = 'step'

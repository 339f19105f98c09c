-- uses: _shared/replica_regimes
-- One row a replica and iteration of a known regime: calm in the regime normal, pressured in any other. A replica that
-- was never normal, but in several regimes, is calm in the mildest of them.
CREATE VIEW iteration_phases AS
SELECT replica, iteration, regime,
       CASE WHEN severity = 0 OR severity = min(severity) OVER own AND severity < max(severity) OVER own
            THEN 'calm' ELSE 'pressured' END AS phase
FROM replica_regimes
WHERE severity IS NOT NULL
WINDOW own AS (PARTITION BY replica)

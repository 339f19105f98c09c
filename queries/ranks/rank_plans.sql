-- Which precision and tactic each rank ran, against what was expected of it.
-- One row a replica, rank, precision, tactic, expected tactic and reason for falling back. The precision expected is
-- bundle.toml's [deployment] precision. as_expected is NULL where neither was told, or what ran was not recorded.
-- It can't tell paths of single operators within an iteration: the record holds one of each.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank; NULL: the engine's own view
-- column: precision_path VARCHAR - — precision that ran
-- column: expected_precision VARCHAR - — precision declared for the deployment
-- column: algo_id VARCHAR - — tactic that ran
-- column: expected_algo_id VARCHAR - — tactic planned
-- column: fallback_reason VARCHAR - — why it was not the planned one
-- column: as_expected BOOLEAN - — whether precision and tactic are those expected, as far as told
-- column: iterations BIGINT iterations — that ran so
-- column: share DOUBLE share — of the rank's iterations
-- column: first_iteration BIGINT - — first of them
-- column: last_iteration BIGINT - — last of them
-- needs: s_records(replica, iteration, algo_id, precision_path)
-- uses: _shared/rank_states
WITH declared AS (
    SELECT max(lower(trim(value, '"'))) AS precision FROM bundle WHERE key = 'deployment.precision'
), ran AS (
    SELECT r.replica, r.rank, r.iteration, r.precision_path, d.precision AS expected_precision, r.algo_id, r.expected_algo_id,
           r.fallback_reason,
           coalesce(lower(r.precision_path) = d.precision AND r.algo_id = r.expected_algo_id,
                    lower(r.precision_path) = d.precision, r.algo_id = r.expected_algo_id) AS as_expected
    FROM rank_states AS r, declared AS d
    WHERE r.precision_path IS NOT NULL OR r.algo_id IS NOT NULL
)
SELECT replica, rank, precision_path, expected_precision, algo_id, expected_algo_id, fallback_reason, as_expected,
       count(*) AS iterations, count(*) / sum(count(*)) OVER (PARTITION BY replica, rank) AS share,
       min(iteration) AS first_iteration, max(iteration) AS last_iteration
FROM ran
WHERE ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
GROUP BY replica, rank, precision_path, expected_precision, algo_id, expected_algo_id, fallback_reason, as_expected
ORDER BY replica, rank NULLS FIRST, iterations DESC, precision_path, algo_id, expected_algo_id, fallback_reason

-- What was declared against what ran: tactics planned and executed, precision, NCCL's algorithm, batch invariance.
-- One row a declaration and what ran under it. agrees is NULL where nothing tells what ran.
-- column: what VARCHAR - — tactic, precision, nccl_algorithm or batch_invariance
-- column: replica VARCHAR - — replica; NULL: not known
-- column: declared VARCHAR - — as planned or set
-- column: executed VARCHAR - — as it ran; NULL: not recorded
-- column: times BIGINT - — steps, or choices of an algorithm
-- column: why VARCHAR - — the reason that was recorded for a difference
-- column: agrees BOOLEAN - — whether they agree
-- needs: s_records(req_id, expected_algo_id)
-- uses: _shared/steps
WITH invariant AS (
    SELECT key AS declared FROM bundle WHERE key = 'deployment.batch_invariant' AND value IN ('true', '1')
    UNION
    SELECT name || '=' || value FROM nsys_environment
    WHERE name IN ('VLLM_BATCH_INVARIANT', 'SGLANG_ENABLE_DETERMINISTIC_INFERENCE') AND value NOT IN ('0', '', 'false')
), chosen AS (
    SELECT DISTINCT s.value AS declared, t.algo
    FROM nccl_settings AS s
    LEFT JOIN nccl_tuning AS t ON t.host IS NOT DISTINCT FROM s.host AND t.algo IS NOT NULL
    WHERE s.name = 'NCCL_ALGO'
), told AS (
    SELECT 'tactic' AS what, replica, expected_algo_id AS declared, algo_id AS executed, count(*) AS times,
           fallback_reason AS why, expected_algo_id = algo_id AS agrees
    FROM steps
    WHERE expected_algo_id IS NOT NULL
    GROUP BY ALL
    UNION ALL
    SELECT 'precision', s.replica, trim(b.value, '"'), s.precision_path, count(*), NULL,
           lower(trim(b.value, '"')) = lower(s.precision_path)
    FROM bundle AS b, steps AS s
    WHERE b.key = 'deployment.precision' AND s.precision_path IS NOT NULL
    GROUP BY ALL
    UNION ALL
    SELECT 'nccl_algorithm', NULL, declared, algo, count(*), NULL,
           CASE WHEN algo IS NOT NULL THEN contains(upper(declared), upper(algo)) END
    FROM chosen
    GROUP BY ALL
    UNION ALL
    -- invariant to the batch: one tactic at every batch size
    SELECT 'batch_invariance', s.replica, i.declared, count(DISTINCT s.algo_id) || ' tactics at ' ||
           count(DISTINCT s.batch_size) || ' batch sizes', count(*), NULL, count(DISTINCT s.algo_id) = 1
    FROM invariant AS i, steps AS s
    WHERE s.algo_id IS NOT NULL AND s.batch_size IS NOT NULL
    GROUP BY s.replica, i.declared
)
SELECT what, replica, declared, executed, CAST(times AS BIGINT) AS times, why, agrees
FROM told
ORDER BY what, agrees NULLS FIRST, times DESC, replica, declared, executed, why

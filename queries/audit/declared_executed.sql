-- What was declared against what ran: tactics planned and executed, precision, NCCL's algorithm, batch invariance.
-- One row a declaration and what ran under it. NCCL_ALGO holds for its own process, and is read as NCCL does: a list,
-- after ^ of what is excluded, by collective where func: stands before it (a part without one is for all others). agrees
-- is NULL where nothing tells what ran, or whose switch it is, where it does not speak of that collective, and where no
-- query length ran at more than one batch size under batch invariance (tactics are held together by query length, where
-- the shape is recorded).
-- column: what VARCHAR - — tactic, precision, nccl_algorithm or batch_invariance
-- column: replica VARCHAR - — replica; NULL: not known
-- column: declared VARCHAR - — as planned or set
-- column: executed VARCHAR - — as it ran; NULL: not recorded
-- column: times BIGINT - — steps, or choices of an algorithm (0: none is recorded)
-- column: why VARCHAR - — the reason that was recorded for a difference
-- column: agrees BOOLEAN - — whether they agree
-- needs: s_records(req_id, expected_algo_id)
-- uses: _shared/steps, _shared/shape_key
WITH invariant AS (
    SELECT key AS declared, NULL AS replica, TRUE AS of_all FROM bundle
    WHERE key = 'deployment.batch_invariant' AND value IN ('true', '1')
    UNION
    SELECT e.name || '=' || e.value, s.replica, FALSE
    FROM nsys_environment AS e
    JOIN sources AS s USING (source_id)
    WHERE e.name IN ('VLLM_BATCH_INVARIANT', 'SGLANG_ENABLE_DETERMINISTIC_INFERENCE')
          AND lower(e.value) NOT IN ('0', '', 'false', 'no', 'n')
), varied AS (
    -- a prompt's own iterations may well have another tactic than decoding, whatever the batch
    SELECT i.declared, coalesce(s.replica, i.replica) AS replica, shape_key(s.shape, 'q') AS q,
           count(DISTINCT s.algo_id) AS tactics, count(DISTINCT s.batch_size) AS batch_sizes, count(s.algo_id) AS times
    FROM invariant AS i
    LEFT JOIN steps AS s ON (i.of_all OR i.replica = s.replica) AND s.algo_id IS NOT NULL AND s.batch_size IS NOT NULL
    GROUP BY ALL
), chosen AS (
    SELECT s.value AS declared, t.algo,
           CASE WHEN contains(s.value, ':')
                THEN coalesce(list_filter(string_split(lower(s.value), ';'), lambda f: starts_with(f, lower(t.func) || ':'))[1],
                              list_filter(string_split(lower(s.value), ';'), lambda f: NOT contains(f, ':'))[1])
                ELSE lower(s.value) END AS rule,
           list_contains(string_split(replace(replace(regexp_replace(rule, '^[a-z]+:', ''), '^', ''), '_', ''), ','),
                         lower(replace(t.algo, '_', ''))) AS named
    FROM (SELECT DISTINCT source_id, host, pid, value FROM nccl_settings WHERE name = 'NCCL_ALGO') AS s
    LEFT JOIN nccl_tuning AS t ON t.source_id = s.source_id AND t.host IS NOT DISTINCT FROM s.host
                                  AND t.pid IS NOT DISTINCT FROM s.pid AND t.algo IS NOT NULL
    -- rank 0 alone prints what it chose: the others' processes tell nothing more
    QUALIFY t.algo IS NOT NULL OR count(t.algo) OVER (PARTITION BY s.value) = 0
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
    SELECT 'nccl_algorithm', NULL, declared, algo, count(algo), NULL,
           CASE WHEN contains(rule, '^') THEN NOT named ELSE named END AS agrees
    FROM chosen
    GROUP BY ALL
    UNION ALL
    -- invariant to the batch: one tactic at every batch size, for one query length
    SELECT 'batch_invariance', replica, declared,
           CASE WHEN sum(times) > 0
                THEN coalesce(max(tactics) FILTER (WHERE batch_sizes > 1), max(tactics)) || ' tactics at '
                     || max(batch_sizes) || ' batch sizes' END,
           sum(times), NULL, max(tactics) FILTER (WHERE batch_sizes > 1) = 1
    FROM varied
    GROUP BY replica, declared
)
SELECT what, replica, declared, executed, CAST(times AS BIGINT) AS times, why, agrees
FROM told
ORDER BY what, agrees NULLS FIRST, times DESC, replica, declared, executed, why

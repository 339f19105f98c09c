-- uses: _shared/request_keys, _shared/steps, _shared/step_regimes
-- One row a request of a replay group that decodes greedily, or with one seed, and has another member: its reference.
-- The calmest comes first: one whose every step was in the regime normal; then the replica whose
-- plan varied least (share of its steps that left its most frequent tactic); then the one whose step
-- times spread least (p95 over median); then the member with whose tokens most agree; then the
-- earliest. The reference itself has none.
-- kept: every chain starts from it, and it looks at all records
CREATE VIEW references_of AS
WITH members AS (
    SELECT req_id, replica, admitted_ns, effective_text_sha256, decode_key
    FROM request_keys
    WHERE repeatable AND effective_text_sha256 IS NOT NULL
), told AS (
    SELECT s.req_id, bool_or(g.regime <> 'normal') AS strained,
           hash(list(s.token_id ORDER BY s.step)) AS tokens, min(s.ts_ns) AS first_ns
    FROM steps AS s
    LEFT JOIN step_regimes AS g ON g.req_id = s.req_id AND g.step = s.step
    GROUP BY s.req_id
), usual AS (
    SELECT replica, mode(algo_id ORDER BY algo_id) AS algo_id FROM steps GROUP BY replica
), spread AS (
    SELECT s.replica, avg(CASE WHEN s.algo_id = u.algo_id THEN 0 ELSE 1 END) FILTER (WHERE s.algo_id IS NOT NULL) AS varied,
           quantile_cont(s.gpu_ms, 0.95) / nullif(median(s.gpu_ms), 0) AS spread
    FROM steps AS s
    JOIN usual AS u ON u.replica = s.replica
    GROUP BY s.replica
), weighed AS (
    SELECT m.req_id, m.effective_text_sha256, m.decode_key, t.strained, p.varied, p.spread,
           coalesce(m.admitted_ns, t.first_ns) AS since_ns,
           count(*) OVER (PARTITION BY m.effective_text_sha256, m.decode_key, t.tokens) AS agree
    FROM members AS m
    JOIN told AS t ON t.req_id = m.req_id
    LEFT JOIN spread AS p ON p.replica = m.replica
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY effective_text_sha256, decode_key
        ORDER BY strained NULLS LAST, varied NULLS LAST, spread NULLS LAST, agree DESC, since_ns NULLS LAST, req_id
    ) AS place
    FROM weighed
)
SELECT r.req_id, f.req_id AS reference
FROM ranked AS r
JOIN ranked AS f ON f.effective_text_sha256 = r.effective_text_sha256 AND f.decode_key = r.decode_key AND f.place = 1
WHERE r.place > 1

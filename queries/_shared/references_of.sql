-- uses: _shared/request_keys, _shared/steps, _shared/step_regimes
-- One row a request of a replay group that decodes greedily and has another member: its reference.
-- The calmest comes first: fewest steps outside the regime normal; then the replica whose iterations
-- spread least (p95 of the step time over its median); then the member with whose tokens most agree;
-- then the earliest. The reference itself has none.
CREATE VIEW references_of AS
WITH members AS (
    SELECT req_id, replica, admitted_ns, effective_text_sha256, decode_key
    FROM request_keys
    WHERE greedy AND effective_text_sha256 IS NOT NULL
), told AS (
    SELECT s.req_id, count(*) FILTER (WHERE g.regime <> 'normal') AS strained,
           hash(list(s.token_id ORDER BY s.step)) AS tokens, min(s.ts_ns) AS first_ns
    FROM steps AS s
    LEFT JOIN step_regimes AS g ON g.req_id = s.req_id AND g.step = s.step
    GROUP BY s.req_id
), spread AS (
    SELECT replica, quantile_cont(gpu_ms, 0.95) / nullif(median(gpu_ms), 0) AS spread
    FROM steps
    GROUP BY replica
), weighed AS (
    SELECT m.req_id, m.effective_text_sha256, m.decode_key, t.strained, p.spread,
           coalesce(m.admitted_ns, t.first_ns) AS since_ns,
           count(*) OVER (PARTITION BY m.effective_text_sha256, m.decode_key, t.tokens) AS agree
    FROM members AS m
    JOIN told AS t ON t.req_id = m.req_id
    LEFT JOIN spread AS p ON p.replica = m.replica
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY effective_text_sha256, decode_key
        ORDER BY strained, spread NULLS LAST, agree DESC, since_ns NULLS LAST, req_id
    ) AS place
    FROM weighed
)
SELECT r.req_id, f.req_id AS reference
FROM ranked AS r
JOIN ranked AS f ON f.effective_text_sha256 = r.effective_text_sha256 AND f.decode_key = r.decode_key AND f.place = 1
WHERE r.place > 1

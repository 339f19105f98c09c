-- uses: _shared/request_keys, _shared/steps, _shared/step_regimes, _shared/engine_iterations, _shared/waits, _shared/named_baseline
-- One row a request of a replay group that decodes greedily, or with one seed, and has another member: its reference.
-- The calmest comes first: the one whose worst regime is mildest; then one that ran within the named baseline;
-- then the one on the undisturbed replica, that for whose iterations the fewest requests waited; then the one that itself
-- ran another tactic than the planned one least, then that left its replica's most frequent plan (tactic and precision)
-- least; then the replica whose requests left it least; then the member with whose tokens most agree; then the one whose
-- replica's step times spread least (p95 over median; no two spread alike, so it comes late); then the earliest. The
-- reference itself has none.
-- kept: every chain starts from it, and it looks at all records
CREATE VIEW references_of AS
WITH members AS (
    SELECT req_id, replica, admitted_ns, effective_text_sha256, decode_key
    FROM request_keys
    WHERE repeatable AND effective_text_sha256 IS NOT NULL
), planned AS (
    SELECT *, concat_ws(' ', algo_id, precision_path) AS plan FROM steps WHERE algo_id IS NOT NULL OR precision_path IS NOT NULL
), usual AS (
    SELECT replica, mode(plan ORDER BY plan) AS plan FROM planned GROUP BY replica
), left_by AS (
    SELECT p.req_id, min(p.replica) AS replica, avg(CASE WHEN p.plan = u.plan THEN 0 ELSE 1 END) AS share,
           avg(CASE WHEN p.algo_id <> p.expected_algo_id THEN 1 ELSE 0 END) AS unplanned
    FROM planned AS p
    JOIN usual AS u ON u.replica = p.replica
    GROUP BY p.req_id  -- one that moved to another replica is one
), varied AS (
    -- rounded: what threads add up in another order would else decide between equals
    SELECT replica, round(avg(share), 9) AS share FROM left_by GROUP BY replica
), kept_waiting AS (
    SELECT e.replica, sum(coalesce(w.waiting, 0)) / count(*) AS waiting
    FROM engine_iterations AS e
    LEFT JOIN waits AS w ON w.replica = e.replica AND w.iteration = e.iteration
    GROUP BY e.replica
), told AS (
    SELECT s.req_id, max(g.severity) AS strained,  -- 0: every step that is told was in the regime normal
           hash(list(s.token_id ORDER BY s.step)) AS tokens, min(s.ts_ns) AS first_ns,
           coalesce(bool_and(s.ts_ns BETWEEN b.from_ns AND b.to_ns), FALSE) AS named_calm
    FROM steps AS s
    CROSS JOIN named_baseline AS b
    LEFT JOIN step_regimes AS g ON g.req_id = s.req_id AND g.step = s.step
    GROUP BY s.req_id
), spread AS (
    SELECT replica, quantile_cont(gpu_ms, 0.95) / nullif(median(gpu_ms), 0) AS spread
    FROM steps
    GROUP BY replica
), weighed AS (
    SELECT m.req_id, m.effective_text_sha256, m.decode_key, t.strained, t.named_calm, w.waiting, l.unplanned, l.share AS own, v.share AS varied, p.spread,
           coalesce(m.admitted_ns, t.first_ns) AS since_ns,
           count(*) OVER (PARTITION BY m.effective_text_sha256, m.decode_key, t.tokens) AS agree
    FROM members AS m
    JOIN told AS t ON t.req_id = m.req_id
    LEFT JOIN left_by AS l ON l.req_id = m.req_id
    LEFT JOIN kept_waiting AS w ON w.replica = m.replica
    LEFT JOIN varied AS v ON v.replica = m.replica
    LEFT JOIN spread AS p ON p.replica = m.replica
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY effective_text_sha256, decode_key
        ORDER BY strained NULLS LAST, named_calm DESC, waiting NULLS LAST, unplanned NULLS LAST, own NULLS LAST, varied NULLS LAST,
                 agree DESC, spread NULLS LAST, since_ns NULLS LAST, req_id
    ) AS place
    FROM weighed
)
SELECT r.req_id, f.req_id AS reference
FROM ranked AS r
JOIN ranked AS f ON f.effective_text_sha256 = r.effective_text_sha256 AND f.decode_key = r.decode_key AND f.place = 1
WHERE r.place > 1

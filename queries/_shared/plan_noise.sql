-- uses: _shared/references_of, _shared/steps
-- One row a plan (tactic and precision) and the reference's plan: how far the margin of the same step moved between
-- the two, over all replays, up to the step at which the tokens first differ (after it, the inputs differ).
-- kept: every chain asks how far margins move, and it looks at all records
CREATE VIEW plan_noise AS
WITH pairs AS (
    SELECT p.req_id, s.step, s.algo_id AS tactic, r.algo_id AS reference_tactic, s.precision_path AS precision,
           r.precision_path AS reference_precision, abs(s.margin - r.margin) AS moved,
           min(s.step) FILTER (WHERE s.token_id <> r.token_id) OVER (PARTITION BY p.req_id) AS flip
    FROM references_of AS p
    JOIN steps AS s ON s.req_id = p.req_id
    JOIN steps AS r ON r.req_id = p.reference AND r.step = s.step
    WHERE s.token_id IS NOT NULL AND r.token_id IS NOT NULL
)
SELECT tactic, reference_tactic, precision, reference_precision, count(*) AS steps, count(DISTINCT req_id) AS requests,
       median(moved) AS median_moved, quantile_cont(moved, 0.95) AS p95_moved,
       quantile_cont(moved, 0.99) AS p99_moved, max(moved) AS most_moved
FROM pairs
WHERE moved IS NOT NULL AND tactic IS NOT NULL AND reference_tactic IS NOT NULL AND (flip IS NULL OR step < flip)
GROUP BY ALL

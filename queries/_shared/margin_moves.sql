-- uses: _shared/references_of, _shared/steps
-- One row a request and step that its reference recorded too, up to and with the first other token. moved: what the
-- reference's margin lost, in logits: reference_margin - margin; where chosen and runner-up changed places, the margin
-- counts below 0, and moved is the sum of both. NULL where a third token won, or a margin is. other_plan: tactic or
-- precision differs; after_other: it did at an earlier step, which wrote keys and values that this one reads.
CREATE VIEW margin_moves AS
WITH pairs AS (
    SELECT p.req_id, p.reference, s.step, s.replica, s.iteration, s.ts_ns, s.algo_id AS tactic, r.algo_id AS reference_tactic,
           s.precision_path AS precision, r.precision_path AS reference_precision, s.margin, r.margin AS reference_margin,
           s.token_id <> r.token_id AS flipped, s.top2_token_id = r.token_id AS swapped,
           coalesce(s.algo_id <> r.algo_id, FALSE) OR coalesce(s.precision_path <> r.precision_path, FALSE) AS other_plan,
           min(s.step) FILTER (WHERE s.token_id <> r.token_id) OVER (PARTITION BY p.req_id) AS flip
    FROM references_of AS p
    JOIN steps AS s ON s.req_id = p.req_id
    JOIN steps AS r ON r.req_id = p.reference AND r.step = s.step
    WHERE s.token_id IS NOT NULL AND r.token_id IS NOT NULL
), upto AS (
    SELECT *, coalesce(bool_or(other_plan) OVER earlier, FALSE) AS after_other
    FROM pairs
    WHERE flip IS NULL OR step <= flip
    WINDOW earlier AS (PARTITION BY req_id ORDER BY step ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT req_id, reference, step, replica, iteration, ts_ns, tactic, reference_tactic, precision, reference_precision, margin,
       reference_margin, flipped,
       CASE WHEN NOT flipped THEN reference_margin - margin WHEN swapped THEN reference_margin + margin END AS moved,
       other_plan, after_other
FROM upto

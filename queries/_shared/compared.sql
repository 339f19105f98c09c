-- uses: _shared/references_of, _shared/steps
-- One row a request with a reference and a step whose token both recorded. flipped: some token differs.
-- other_tactic, other_precision: some step up to the flip (or to the end) ran another than the reference's;
-- NULL where no such step recorded it on both sides.
-- kept: every chain asks how replays fare with and without another plan, and it looks at all records
CREATE VIEW compared AS
WITH pairs AS (
    SELECT p.req_id, p.reference, s.step, s.token_id <> r.token_id AS differs,
           s.algo_id <> r.algo_id AS other_tactic, s.precision_path <> r.precision_path AS other_precision
    FROM references_of AS p
    JOIN steps AS s ON s.req_id = p.req_id
    JOIN steps AS r ON r.req_id = p.reference AND r.step = s.step
    WHERE s.token_id IS NOT NULL AND r.token_id IS NOT NULL
), upto AS (
    SELECT *, min(step) FILTER (WHERE differs) OVER (PARTITION BY req_id) AS flip
    FROM pairs
)
SELECT req_id, reference, bool_or(differs) AS flipped, bool_or(other_tactic) AS other_tactic,
       bool_or(other_precision) AS other_precision
FROM upto
WHERE flip IS NULL OR step <= flip
GROUP BY req_id, reference

-- Do tokens flip without another tactic? All requests with a reference, counted.
-- One row. A request counts as of another tactic if any step up to its flip (or its end) ran another
-- tactic than its reference's. It can't tell requests whose tactics were not recorded: they are left out.
-- column: flipped_other_tactic BIGINT requests — flipped, and a step up to the flip ran another tactic
-- column: kept_other_tactic BIGINT requests — did not flip although a step ran another tactic
-- column: flipped_same_tactic BIGINT requests — flipped although every step ran the reference's tactic
-- column: kept_same_tactic BIGINT requests — did not flip, every step ran the reference's tactic
-- needs: s_records(req_id, step, algo_id)
-- uses: _shared/references_of, _shared/steps
WITH pairs AS (
    SELECT p.req_id, s.step, s.token_id <> r.token_id AS differs, s.algo_id <> r.algo_id AS other
    FROM references_of AS p
    JOIN steps AS s ON s.req_id = p.req_id
    JOIN steps AS r ON r.req_id = p.reference AND r.step = s.step
    WHERE s.token_id IS NOT NULL AND r.token_id IS NOT NULL AND s.algo_id IS NOT NULL AND r.algo_id IS NOT NULL
), upto AS (
    SELECT *, coalesce(min(step) FILTER (WHERE differs) OVER (PARTITION BY req_id), max(step) OVER (PARTITION BY req_id)) AS last
    FROM pairs
), each AS (
    SELECT req_id, bool_or(differs) AS flipped, bool_or(other) AS other
    FROM upto
    WHERE step <= last
    GROUP BY req_id
)
SELECT count(*) FILTER (WHERE flipped AND other) AS flipped_other_tactic,
       count(*) FILTER (WHERE NOT flipped AND other) AS kept_other_tactic,
       count(*) FILTER (WHERE flipped AND NOT other) AS flipped_same_tactic,
       count(*) FILTER (WHERE NOT flipped AND NOT other) AS kept_same_tactic
FROM each
ORDER BY ALL

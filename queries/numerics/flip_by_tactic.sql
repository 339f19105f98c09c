-- Do tokens flip without another tactic? All requests with a reference, counted.
-- One row. A request counts as of another tactic if any step up to its flip (or its end) ran another
-- tactic than its reference's. It can't tell requests whose tactics were not recorded: they are left out.
-- column: flipped_other_tactic BIGINT requests — flipped, and a step up to the flip ran another tactic
-- column: kept_other_tactic BIGINT requests — did not flip although a step ran another tactic
-- column: flipped_same_tactic BIGINT requests — flipped although every step ran the reference's tactic
-- column: kept_same_tactic BIGINT requests — did not flip, every step ran the reference's tactic
-- needs: s_records(req_id, step, algo_id)
-- uses: _shared/compared
SELECT count(*) FILTER (WHERE flipped AND other_tactic) AS flipped_other_tactic,
       count(*) FILTER (WHERE NOT flipped AND other_tactic) AS kept_other_tactic,
       count(*) FILTER (WHERE flipped AND NOT other_tactic) AS flipped_same_tactic,
       count(*) FILTER (WHERE NOT flipped AND NOT other_tactic) AS kept_same_tactic
FROM compared
ORDER BY ALL

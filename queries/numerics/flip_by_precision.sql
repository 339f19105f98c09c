-- Do tokens flip without another precision? All requests with a reference, counted.
-- One row. A request counts as of another precision if any step up to its flip (or its end) ran another
-- precision than its reference's. It can't tell requests whose precision was not recorded: they are left out.
-- column: flipped_other_precision BIGINT requests — flipped, and a step up to the flip ran another precision
-- column: kept_other_precision BIGINT requests — did not flip although a step ran another precision
-- column: flipped_same_precision BIGINT requests — flipped although every step ran the reference's precision
-- column: kept_same_precision BIGINT requests — did not flip, every step ran the reference's precision
-- needs: s_records(req_id, step, precision_path)
-- uses: _shared/compared
SELECT count(*) FILTER (WHERE flipped AND other_precision) AS flipped_other_precision,
       count(*) FILTER (WHERE NOT flipped AND other_precision) AS kept_other_precision,
       count(*) FILTER (WHERE flipped AND NOT other_precision) AS flipped_same_precision,
       count(*) FILTER (WHERE NOT flipped AND NOT other_precision) AS kept_same_precision
FROM compared
ORDER BY ALL

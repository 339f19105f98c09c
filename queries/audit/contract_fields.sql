-- How much of the execution contract was recorded, field by field.
-- One row a field of the x records, of the s records of requests, and of the ranks' own s records. A record that
-- is not there at all counts nowhere: see contract_by_request for requests without any.
-- column: record VARCHAR - — x, s (of a request), or rank
-- column: field VARCHAR - — its name, as the recorder writes it
-- column: recorded BIGINT records — in which it is not null
-- column: records BIGINT records — that could have it
-- needs: s_records(req_id, step)
WITH x AS (
    SELECT 'x' AS record, field, recorded, records
    FROM (SELECT count(COLUMNS(* EXCLUDE (source_id, line, req_id, extra))), count(*) AS records FROM x_records)
         UNPIVOT INCLUDE NULLS (recorded FOR field IN (COLUMNS(* EXCLUDE records)))
), s AS (
    SELECT 's' AS record, field, recorded, records
    FROM (SELECT count(COLUMNS(* EXCLUDE (source_id, line, req_id, rank, extra))), count(*) AS records
          FROM s_records WHERE req_id IS NOT NULL)
         UNPIVOT INCLUDE NULLS (recorded FOR field IN (COLUMNS(* EXCLUDE records)))
), ranks AS (
    SELECT 'rank' AS record, field, recorded, records
    FROM (SELECT count(COLUMNS(* EXCLUDE (source_id, line, req_id, step, token_id, top2_token_id, margin, extra))),
                 count(*) AS records
          FROM s_records WHERE rank IS NOT NULL)
         UNPIVOT INCLUDE NULLS (recorded FOR field IN (COLUMNS(* EXCLUDE records)))
)
SELECT record, field, recorded, records FROM x WHERE records > 0
UNION ALL
SELECT record, field, recorded, records FROM s WHERE records > 0
UNION ALL
SELECT record, field, recorded, records FROM ranks WHERE records > 0
ORDER BY record DESC, field

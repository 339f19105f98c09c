-- Token flips: where a request's answer first left its reference's.
-- One row a request whose tokens differ. exact is false where an earlier step is not recorded on both
-- sides: then it is the first difference seen. Another length alone is no flip.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all
-- param: vs VARCHAR - = NULL — compare with this request; NULL: the reference of the replay group
-- column: req_id VARCHAR - — request
-- column: reference VARCHAR - — request that it is compared with
-- column: step BIGINT - — first step with another token
-- column: token_id BIGINT - — its token
-- column: reference_token_id BIGINT - — the reference's token
-- column: margin DOUBLE logits — the request's margin at that step
-- column: reference_margin DOUBLE logits — the reference's margin at that step
-- column: replica VARCHAR - — replica
-- column: iteration BIGINT - — iteration of the flip
-- column: ts_ns BIGINT ns — start of that step, UTC epoch
-- column: exact BOOLEAN - — whether all earlier steps are recorded on both sides
-- needs: s_records(req_id, step)
-- uses: _shared/references_of, _shared/steps
WITH pairs AS (
    SELECT req_id, reference FROM references_of WHERE $vs IS NULL AND ($req_id IS NULL OR req_id = $req_id)
    UNION ALL
    SELECT $req_id, $vs WHERE $vs IS NOT NULL AND $req_id IS NOT NULL
), sides AS (
    SELECT p.req_id, p.reference, s.step, s.token_id, r.token_id AS reference_token_id, s.margin,
           r.margin AS reference_margin, s.replica, s.iteration, s.ts_ns,
           count(*) OVER (PARTITION BY p.req_id ORDER BY s.step ROWS UNBOUNDED PRECEDING) - 1 AS before
    FROM pairs AS p
    JOIN steps AS s ON s.req_id = p.req_id AND s.token_id IS NOT NULL
    JOIN steps AS r ON r.req_id = p.reference AND r.step = s.step AND r.token_id IS NOT NULL
    -- says nothing new; where both are given, only their rows are looked at
    WHERE ($req_id IS NULL OR s.req_id = $req_id) AND ($vs IS NULL OR r.req_id = $vs)
)
SELECT req_id, reference, step, token_id, reference_token_id, margin, reference_margin, replica, iteration, ts_ns,
       before = step AS exact
FROM sides
WHERE token_id <> reference_token_id
QUALIFY row_number() OVER (PARTITION BY req_id ORDER BY step) = 1
ORDER BY ts_ns, req_id

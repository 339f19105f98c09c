-- The margins of every reference, step by step: how clearly each token of a replayed text was decided.
-- One row a reference and step recorded with a margin. It can't tell texts that were served once.
-- column: reference VARCHAR - — request that others are compared with
-- column: prompt_family VARCHAR - — its prompt family; NULL: not recorded
-- column: step BIGINT - — decode step
-- column: margin DOUBLE logits — chosen less runner-up
-- needs: s_records(req_id, step, margin)
-- uses: _shared/references_of, _shared/steps
SELECT s.req_id AS reference, x.prompt_family, s.step, s.margin
FROM steps AS s
SEMI JOIN references_of AS r ON r.reference = s.req_id
LEFT JOIN x_records AS x ON x.req_id = s.req_id
WHERE s.margin IS NOT NULL
ORDER BY s.req_id, s.step

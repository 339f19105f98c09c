-- Which requests' plans can be proven from the records, and what the others lack.
-- One row a request. proof is recorded where its input and, at every step, its token, batch, tactic and precision
-- are; absent where no step of it is; partly else. It can't tell steps after the last recorded one.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all
-- column: req_id VARCHAR - — request
-- column: replica VARCHAR - — replica
-- column: proof VARCHAR - — recorded, partly or absent
-- column: steps BIGINT steps — recorded
-- column: gaps BIGINT steps — missing between step 0 and the last recorded one
-- column: lacks VARCHAR[] - — fields that are missing, with how many of the steps have them where some do
-- needs: s_records(req_id, step)
-- uses: _shared/request_keys, _shared/steps
WITH ran AS (
    SELECT req_id, any_value(replica) AS replica, count(*) AS steps, max(step) + 1 - count(DISTINCT step) AS gaps,
           count(token_id) AS token_id, count(iteration) AS iteration, count(coalesce(CAST(batch_size AS VARCHAR), shape)) AS batch,
           count(algo_id) AS algo_id, count(precision_path) AS precision_path
    FROM steps
    WHERE step IS NOT NULL
    GROUP BY req_id
), fields AS (
    SELECT coalesce(k.req_id, r.req_id) AS req_id, coalesce(k.replica, r.replica) AS replica,
           coalesce(r.steps, 0) AS steps, coalesce(r.gaps, 0) AS gaps,
           [
               {'field': 'effective_text_sha256', 'has': CASE WHEN k.effective_text_sha256 IS NULL THEN 0 ELSE 1 END, 'of': 1},
               {'field': 'decode_cfg_applied', 'has': CASE WHEN k.decode_key IS NULL THEN 0 ELSE 1 END, 'of': 1},
               {'field': 'token_id', 'has': coalesce(r.token_id, 0), 'of': coalesce(r.steps, 0)},
               {'field': 'iteration', 'has': coalesce(r.iteration, 0), 'of': coalesce(r.steps, 0)},
               {'field': 'batch_size or shape', 'has': coalesce(r.batch, 0), 'of': coalesce(r.steps, 0)},
               {'field': 'algo_id', 'has': coalesce(r.algo_id, 0), 'of': coalesce(r.steps, 0)},
               {'field': 'precision_path', 'has': coalesce(r.precision_path, 0), 'of': coalesce(r.steps, 0)}
           ] AS said
    FROM request_keys AS k
    FULL JOIN ran AS r ON r.req_id = k.req_id
), lacking AS (
    SELECT *, [CASE WHEN f.has = 0 THEN f.field ELSE format('{} ({} of {} steps)', f.field, f.has, f."of") END
               FOR f IN said IF f.has < f."of" OR f."of" = 0] AS lacks
    FROM fields
)
SELECT req_id, replica,
       CASE WHEN steps = 0 THEN 'absent' WHEN len(lacks) = 0 AND gaps = 0 THEN 'recorded' ELSE 'partly' END AS proof,
       steps, gaps, lacks
FROM lacking
WHERE $req_id IS NULL OR req_id = $req_id
ORDER BY req_id, replica

-- Which requests' input can be proven equal to another's, and what the others lack for it.
-- One row a request of an x or s record. Its input is proven by the hash of the text that the model saw and by the
-- decode settings as applied; its tokens ought to repeat if it decodes greedily or with a seed. replay: both hold and
-- another request has the same input. alone: both hold, and no other has it. sampled: the input is proven, but its
-- tokens need not repeat. unproven: the records cannot show what it saw. It can't tell that two unproven inputs differ.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all
-- param: proof VARCHAR - = NULL — only these: replay, alone, sampled or unproven; NULL: all
-- column: req_id VARCHAR - — request
-- column: replica VARCHAR - — replica
-- column: proof VARCHAR - — replay, alone, sampled or unproven
-- column: lacks VARCHAR[] - — fields of its x record that are missing; empty: none
-- column: twins BIGINT requests — others that provably had the same input
-- column: same_prompt BIGINT requests — others with the same raw prompt, whatever the model saw of it
-- column: other_prefix BIGINT twins — of those twins, how many took another part of it from the prefix cache, or none
-- needs: s_records(req_id)
-- uses: _shared/request_keys, _shared/request_runs
WITH asked AS (
    SELECT coalesce(k.req_id, r.req_id) AS req_id, coalesce(k.replica, r.replica) AS replica, k.raw_prompt_sha256 AS raw,
           k.effective_text_sha256 AS text, k.decode_key, k.repeatable, k.prefix,
           CASE WHEN k.effective_text_sha256 IS NOT NULL THEN concat_ws(' ', k.effective_text_sha256, k.decode_key) END AS input,
           CASE WHEN k.req_id IS NULL THEN ['x record'] ELSE list_filter(
               [CASE WHEN k.effective_text_sha256 IS NULL THEN 'effective_text_sha256' END,
                CASE WHEN k.decode_key IS NULL THEN 'decode_cfg_applied' END], lambda f: f IS NOT NULL) END AS lacks
    FROM request_keys AS k
    FULL JOIN request_runs AS r ON r.req_id = k.req_id
), counted AS (
    SELECT *, CASE WHEN len(lacks) = 0 THEN count(*) OVER (PARTITION BY input) - 1 END AS twins,
           CASE WHEN len(lacks) = 0 AND prefix IS NOT NULL
                THEN count(prefix) OVER (PARTITION BY input)
                     - count(*) OVER (PARTITION BY input, prefix) END AS other_prefix,
           CASE WHEN raw IS NOT NULL THEN count(*) OVER (PARTITION BY raw) - 1 END AS same_prompt
    FROM asked
), judged AS (
    SELECT *, CASE WHEN len(lacks) > 0 THEN 'unproven' WHEN NOT repeatable THEN 'sampled' WHEN twins > 0 THEN 'replay' ELSE 'alone' END AS proven
    FROM counted
)
SELECT req_id, replica, proven AS proof, lacks, twins, same_prompt, other_prefix
FROM judged
WHERE ($req_id IS NULL OR req_id = $req_id) AND ($proof IS NULL OR proven = $proof)
ORDER BY req_id, replica

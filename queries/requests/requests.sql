-- The requests: what each saw, how it was decoded, where and when it ran.
-- One row a request of an x or s record. replay_group is the smallest request that provably saw the
-- same text with the same decode settings; NULL where that cannot be proven.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all
-- column: req_id VARCHAR - — request
-- column: replica VARCHAR - — replica
-- column: admitted_ns BIGINT ns — admission, UTC epoch
-- column: raw_prompt_sha256 VARCHAR - — prompt before shaping
-- column: effective_text_sha256 VARCHAR - — text after shaping
-- column: effective_tokens BIGINT tokens — after shaping
-- column: prefix VARCHAR - — key of what it took of its prompt from the prefix cache; some: without a key; none; NULL: not recorded
-- column: greedy BOOLEAN - — decoded greedily; NULL where no configuration was recorded
-- column: repeatable BOOLEAN - — decoded greedily or with a seed: the same input should give the same tokens
-- column: decode_key VARCHAR - — compared decode settings
-- column: replay_group VARCHAR - — name of its replay group
-- column: steps BIGINT steps — decode steps recorded
-- column: first_iteration BIGINT - — first iteration that it took part in
-- column: last_iteration BIGINT - — last one
-- column: first_ns BIGINT ns — its first step, UTC epoch
-- column: last_ns BIGINT ns — its last step, UTC epoch
-- needs: s_records(req_id, step)
-- uses: _shared/request_keys, _shared/request_runs
WITH k AS (
    FROM request_keys WHERE $req_id IS NULL OR req_id = $req_id
), r AS (
    FROM request_runs WHERE $req_id IS NULL OR req_id = $req_id
)
SELECT coalesce(k.req_id, r.req_id) AS req_id, coalesce(k.replica, r.replica) AS replica, k.admitted_ns,
       k.raw_prompt_sha256, k.effective_text_sha256, k.effective_tokens, k.prefix, k.greedy, k.repeatable, k.decode_key,
       CASE WHEN k.effective_text_sha256 IS NOT NULL AND k.decode_key IS NOT NULL
            -- over all requests: one asked for alone keeps the name of its group
            THEN (SELECT min(g.req_id) FROM request_keys AS g
                  WHERE g.effective_text_sha256 = k.effective_text_sha256 AND g.decode_key = k.decode_key) END AS replay_group,
       coalesce(r.steps, 0) AS steps, r.first_iteration, r.last_iteration, r.first_ns, r.last_ns
FROM k
FULL JOIN r ON r.req_id = k.req_id
ORDER BY req_id, replica

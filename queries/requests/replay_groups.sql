-- Requests that provably saw the same input: how many, where they ran, how many answers they gave.
-- One row a replay group (two or more requests of one effective text and one decode configuration that ought to
-- repeat). answers counts different tokens over the steps that all its members recorded, so that a shorter answer
-- is no other one. It can't tell groups of requests whose input is not proven: see input_proof.
-- param: replay_group VARCHAR - = NULL — only this group; NULL: all
-- column: replay_group VARCHAR - — its name: the smallest request of it
-- column: requests BIGINT requests — its members
-- column: replicas VARCHAR[] - — where they ran
-- column: effective_tokens BIGINT tokens — the text that they saw
-- column: prompts BIGINT - — different raw prompts that shaping made into this text
-- column: shapings BIGINT - — different lists of shaping events that led to it
-- column: prefixes BIGINT - — different uses of the prefix cache, none being one
-- column: steps BIGINT steps — that all members recorded with a token
-- column: answers BIGINT - — different tokens over those steps; NULL: no such step
-- needs: x_records(effective_text_sha256, decode_cfg_applied)
-- uses: _shared/request_keys, _shared/steps
WITH members AS (
    SELECT k.req_id, k.replica, k.effective_text_sha256 AS text, k.decode_key, k.effective_tokens, k.raw_prompt_sha256 AS raw,
           CAST(k.shaping_events AS VARCHAR) AS shaping, k.prefix
    FROM request_keys AS k
    WHERE k.repeatable AND k.effective_text_sha256 IS NOT NULL
), grouped AS (
    SELECT text, decode_key, min(req_id) AS replay_group, count(*) AS requests,
           list_sort(list(DISTINCT replica)) AS replicas, max(effective_tokens) AS effective_tokens,
           count(DISTINCT raw) AS prompts, count(DISTINCT shaping) AS shapings, count(DISTINCT prefix) AS prefixes
    FROM members
    GROUP BY text, decode_key
    HAVING count(*) > 1
), told AS (
    SELECT g.replay_group, m.req_id, s.step, s.token_id, g.requests
    FROM grouped AS g
    JOIN members AS m ON m.text = g.text AND m.decode_key = g.decode_key
    JOIN steps AS s ON s.req_id = m.req_id
    WHERE s.token_id IS NOT NULL
), shared_steps AS (
    SELECT replay_group, step FROM told GROUP BY replay_group, step, requests HAVING count(*) = requests
), said AS (
    SELECT t.replay_group, t.req_id, count(*) AS steps, hash(list(t.token_id ORDER BY t.step)) AS tokens
    FROM told AS t
    JOIN shared_steps AS s ON s.replay_group = t.replay_group AND s.step = t.step
    GROUP BY t.replay_group, t.req_id
), answered AS (
    SELECT replay_group, max(steps) AS steps, count(DISTINCT tokens) AS answers FROM said GROUP BY replay_group
)
SELECT g.replay_group, g.requests, g.replicas, g.effective_tokens, g.prompts, g.shapings, g.prefixes,
       coalesce(a.steps, 0) AS steps, a.answers
FROM grouped AS g
LEFT JOIN answered AS a ON a.replay_group = g.replay_group
WHERE $replay_group IS NULL OR g.replay_group = $replay_group
ORDER BY a.answers DESC NULLS LAST, g.replay_group

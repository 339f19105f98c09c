-- One row a request: what must be equal for two requests to be each other's replay.
-- decode_key holds the compared decode settings as text, numbers in one spelling; the seed counts
-- only where sampling is on. greedy is NULL where no decode configuration was recorded. repeatable: the
-- same input should give the same tokens, since it decodes greedily or with a seed.
-- kept: every chain starts from it, and it looks at all records
CREATE VIEW request_keys AS
WITH settings AS (
    SELECT req_id, replica, admitted_ns, raw_prompt_sha256, effective_text_sha256, effective_tokens,
           shaping_events, truncated, trunc_reason, decode_cfg_applied AS cfg,
           TRY_CAST(decode_cfg_applied->>'$.temperature' AS DOUBLE) AS temperature,
           TRY_CAST(decode_cfg_applied->>'$.top_k' AS BIGINT) AS top_k
    FROM x_records
)
SELECT req_id, replica, admitted_ns, raw_prompt_sha256, effective_text_sha256, effective_tokens,
       shaping_events, truncated, trunc_reason,
       CASE WHEN cfg IS NOT NULL THEN coalesce(temperature = 0, false) OR coalesce(top_k = 1, false) END AS greedy,
       CASE WHEN cfg IS NOT NULL THEN coalesce(temperature = 0, false) OR coalesce(top_k = 1, false)
                                      OR cfg->>'$.seed' IS NOT NULL END AS repeatable,
       CASE WHEN cfg IS NOT NULL THEN concat_ws(' ',
           'temperature=' || coalesce(CAST(temperature AS VARCHAR), '-'),
           'top_p=' || coalesce(CAST(TRY_CAST(cfg->>'$.top_p' AS DOUBLE) AS VARCHAR), '-'),
           'top_k=' || coalesce(CAST(top_k AS VARCHAR), '-'),
           'min_p=' || coalesce(CAST(TRY_CAST(cfg->>'$.min_p' AS DOUBLE) AS VARCHAR), '-'),
           'repetition_penalty=' || coalesce(CAST(TRY_CAST(cfg->>'$.repetition_penalty' AS DOUBLE) AS VARCHAR), '-'),
           'presence_penalty=' || coalesce(CAST(TRY_CAST(cfg->>'$.presence_penalty' AS DOUBLE) AS VARCHAR), '-'),
           'frequency_penalty=' || coalesce(CAST(TRY_CAST(cfg->>'$.frequency_penalty' AS DOUBLE) AS VARCHAR), '-'),
           'stop=' || coalesce(CAST(cfg->'$.stop' AS VARCHAR), '-'),
           'logit_bias=' || coalesce(CAST(cfg->'$.logit_bias' AS VARCHAR), '-'),
           'guided=' || coalesce(CAST(coalesce(
               cfg->'$.guided_decoding', cfg->'$.structured_outputs', cfg->'$.response_format',
               cfg->'$.guided_json', cfg->'$.guided_regex', cfg->'$.guided_choice', cfg->'$.guided_grammar'
           ) AS VARCHAR), '-'),
           CASE WHEN coalesce(temperature = 0, false) OR coalesce(top_k = 1, false) THEN 'seed=any'
                ELSE 'seed=' || coalesce(CAST(cfg->'$.seed' AS VARCHAR), '-') END
       ) END AS decode_key
FROM settings

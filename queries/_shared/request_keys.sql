-- uses: _shared/setting_of, _shared/decoded_by, _shared/request_runs
-- One row a request: what must be equal for two requests to be each other's replay. Where its x record names no replica (a
-- gateway's), replica is where its s records say that it ran.
-- decode_key holds the compared decode settings as text, numbers in one spelling; temperature, top_p, top_k, min_p and seed
-- count only where sampling is on: none of them moves the largest logit. Settings go by the names of vLLM, SGLang, TGI and
-- TensorRT-LLM: what a grammar, a list of tokens or a least length forbids, and whose weights (an adapter's) decoded. greedy
-- is NULL where no decode configuration was recorded. repeatable: the same input should give the same tokens, since it
-- decodes greedily or with a seed (-1 is none: servers draw one of their own then). prefix: the key of what it took of its
-- prompt from the prefix cache, 'some' without a key, 'none'; NULL where it is not recorded.
-- kept: every chain starts from it, and it looks at all records
CREATE VIEW request_keys AS
WITH settings AS (
    SELECT x.req_id, coalesce(x.replica, r.replica) AS replica, admitted_ns, raw_prompt_sha256, effective_text_sha256,
           effective_tokens, shaping_events, truncated, trunc_reason,
           CASE WHEN prefix_cache_used THEN coalesce(prefix_cache_key, 'some') WHEN NOT prefix_cache_used THEN 'none' END AS prefix,
           decoded_by(decode_cfg_applied, extra) AS cfg,
           TRY_CAST(cfg->>'$.temperature' AS DOUBLE) AS temperature, TRY_CAST(cfg->>'$.top_k' AS BIGINT) AS top_k,
           CASE WHEN cfg IS NOT NULL THEN coalesce(temperature = 0, false) OR coalesce(top_k = 1, false) END AS greedy
    FROM x_records AS x
    LEFT JOIN request_runs AS r ON r.req_id = x.req_id
)
SELECT req_id, replica, admitted_ns, raw_prompt_sha256, effective_text_sha256, effective_tokens,
       shaping_events, truncated, trunc_reason, prefix, greedy,
       greedy OR coalesce(setting_of(cfg, '/seed') <> '-1', false) AS repeatable,
       CASE WHEN cfg IS NOT NULL THEN concat_ws(' ',
           CASE WHEN greedy THEN 'greedy' ELSE concat_ws(' ',
               'temperature=' || coalesce(CAST(temperature AS VARCHAR), '-'),
               'top_p=' || coalesce(CAST(TRY_CAST(cfg->>'$.top_p' AS DOUBLE) AS VARCHAR), '-'),
               'top_k=' || coalesce(CAST(top_k AS VARCHAR), '-'),
               'min_p=' || coalesce(CAST(TRY_CAST(cfg->>'$.min_p' AS DOUBLE) AS VARCHAR), '-')) END,
           'repetition_penalty=' || coalesce(CAST(TRY_CAST(cfg->>'$.repetition_penalty' AS DOUBLE) AS VARCHAR), '-'),
           'presence_penalty=' || coalesce(CAST(TRY_CAST(cfg->>'$.presence_penalty' AS DOUBLE) AS VARCHAR), '-'),
           'frequency_penalty=' || coalesce(CAST(TRY_CAST(cfg->>'$.frequency_penalty' AS DOUBLE) AS VARCHAR), '-'),
           'stop=' || coalesce(setting_of(cfg, '/stop'), '-'),
           'logit_bias=' || coalesce(setting_of(cfg, '/logit_bias'), '-'),
           'guided=' || coalesce(
               setting_of(cfg, '/guided_decoding'), setting_of(cfg, '/structured_outputs'),
               setting_of(cfg, '/response_format'), setting_of(cfg, '/guided_json'), setting_of(cfg, '/guided_regex'),
               setting_of(cfg, '/guided_choice'), setting_of(cfg, '/guided_grammar'), setting_of(cfg, '/json_schema'),
               setting_of(cfg, '/regex'), setting_of(cfg, '/ebnf'), setting_of(cfg, '/structural_tag'), setting_of(cfg, '/grammar'), '-'),
           'allowed_token_ids=' || setting_of(cfg, '/allowed_token_ids'),
           'bad_words=' || setting_of(cfg, '/bad_words'),
           'min_tokens=' || nullif(coalesce(setting_of(cfg, '/min_tokens'), setting_of(cfg, '/min_new_tokens')), '0'),
           'model=' || setting_of(cfg, '/model'),
           -- the number that a server gave its adapter is its own: the name tells
           'lora=' || coalesce(setting_of(cfg, '/lora_request/lora_name'), setting_of(cfg, '/lora_request'),
                               setting_of(cfg, '/lora_path'), setting_of(cfg, '/adapter_id')),
           CASE WHEN greedy THEN 'seed=any' ELSE 'seed=' || coalesce(setting_of(cfg, '/seed'), '-') END
       ) END AS decode_key
FROM settings

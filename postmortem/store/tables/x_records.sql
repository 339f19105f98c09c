-- one row a request: what the model really saw
-- record: x records (postmortem.record, or the gateway's log)
CREATE TABLE x_records (
    source_id             INTEGER NOT NULL, -- file
    line                  BIGINT NOT NULL,  -- line or row number from 1
    req_id                VARCHAR NOT NULL, -- request; replica/id where several replicas served one id
    replica               VARCHAR,          -- serving replica
    admitted_ns           BIGINT,           -- admission, UTC epoch ns
    raw_prompt_sha256     VARCHAR,          -- prompt before shaping, hex
    effective_text_sha256 VARCHAR,          -- text after shaping, hex
    effective_tokens      BIGINT,           -- tokens after shaping
    truncated             BOOLEAN,          -- whether shaping cut the prompt
    trunc_reason          VARCHAR,          -- latency_guard, context_cap, ...
    decode_cfg_applied    VARCHAR,          -- decode configuration as applied, JSON object without what is null
    shaping_events        VARCHAR[],        -- kind:version, in order
    prefix_cache_used     BOOLEAN,          -- whether a cached prefix was reused
    prefix_cache_key      VARCHAR,          -- its key
    routing_template      VARCHAR,          -- template
    system_sha256         VARCHAR,          -- system message, hex
    tenant                VARCHAR,          -- tenant
    prompt_family         VARCHAR,          -- prompt family
    extra                 VARCHAR           -- unknown fields, JSON object; NULL where none
);

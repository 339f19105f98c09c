-- one row a request and decode step, or a rank and iteration: which plan ran, under what pressure
-- record: s records (postmortem.record in the server)
CREATE TABLE s_records (
    source_id          INTEGER NOT NULL, -- file
    line               BIGINT NOT NULL,  -- line or row number from 1
    req_id             VARCHAR,          -- request; NULL: a rank's state of one iteration; replica/id where several replicas served one id
    step               BIGINT,           -- decode step, 0 = first generated token
    ts_ns              BIGINT,           -- start of the step, UTC epoch ns
    replica            VARCHAR,          -- replica
    rank               INTEGER,          -- rank; NULL: the engine's own view
    iteration          BIGINT,           -- the engine's step counter
    batch_fp           VARCHAR,          -- fingerprint of the batch's membership
    batch_size         BIGINT,           -- sequences in the batch
    shape              VARCHAR,          -- q=,k=,h=,d=,tp= ...
    queue_ms           DOUBLE,           -- waiting to be scheduled, ms
    gpu_ms             DOUBLE,           -- the whole step, collectives included, ms
    comm_ms            DOUBLE,           -- in collectives, ms
    sync_ms            DOUBLE,           -- of that, waiting for the slowest rank, ms
    vram_free_mb       DOUBLE,           -- MiB, before pins
    workspace_free_mb  DOUBLE,           -- MiB
    kv_pool_total_mb   DOUBLE,           -- MiB
    isr_pinned_mb      DOUBLE,           -- held by incremental state replication, MiB
    ckpt_pinned_mb     DOUBLE,           -- held by the checkpointer, MiB
    kv_regime          VARCHAR,          -- normal, pressured, paged
    kv_evicted_blocks  BIGINT,           -- evicted in this step
    recompute_tokens   BIGINT,           -- recomputed in this step
    paging_on          BOOLEAN,          -- whether the pager is on
    queue_p95_ms       DOUBLE,           -- ms
    precision_path     VARCHAR,          -- bf16, fp16, tf32, fp32, int8, fp8
    dequant_cycles     BIGINT,           -- dequantise/requantise cycles in this step
    algo_id            VARCHAR,          -- tactic that ran
    kernel_variant     VARCHAR,          -- its kernel
    expected_algo_id   VARCHAR,          -- tactic planned
    fallback_reason    VARCHAR,          -- workspace, shape, quant, ...
    isolation_mode     VARCHAR,          -- shared, strict
    token_id           BIGINT,           -- chosen token
    top2_token_id      BIGINT,           -- runner-up
    margin             DOUBLE,           -- logit of the chosen minus logit of the runner-up
    extra              VARCHAR           -- unknown fields, JSON object; NULL where none
);

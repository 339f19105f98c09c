-- one row a metric of a kernel launch profiled by Nsight Compute
-- record: ncu --csv --page raw
CREATE TABLE ncu_metrics (
    source_id INTEGER NOT NULL, -- file
    kernel_id BIGINT NOT NULL,  -- ncu_kernels.kernel_id
    metric    VARCHAR NOT NULL, -- name as recorded
    kind      VARCHAR,          -- l2_hit_rate, stall, not_stalled, ...; NULL: none of these
    reason    VARCHAR,          -- of a stall: long_scoreboard, barrier, ...; not stalled: selected
    family    VARCHAR,          -- stall metrics of one family add up: the name with * for the reason
    unit      VARCHAR,          -- as recorded
    value     DOUBLE,           -- number; NULL where it is text
    text      VARCHAR           -- value as recorded
);

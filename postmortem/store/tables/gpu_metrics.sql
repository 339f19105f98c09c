-- one row a sample of a GPU metric
-- record: nsys profile --gpu-metrics-devices=all
CREATE TABLE gpu_metrics (
    source_id INTEGER NOT NULL, -- file
    gpu_id    BIGINT,           -- GPU number of the export (gpus.gpu_id), not the CUDA ordinal
    metric    VARCHAR NOT NULL, -- metric name as recorded, with its unit in brackets
    kind      VARCHAR,          -- l2_hit_rate, stall, not_stalled; NULL: none of these
    reason    VARCHAR,          -- of a stall: long_scoreboard, barrier, ...; not stalled: selected
    family    VARCHAR,          -- stall metrics of one family add up: the name with * for the reason
    t_ns      BIGINT NOT NULL,  -- ns since session start
    value     DOUBLE            -- in the unit of its name; [MHz] values are Hz, [GB/s] values bytes/s
);

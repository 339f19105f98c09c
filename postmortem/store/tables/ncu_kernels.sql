-- one row a kernel launch profiled by Nsight Compute
-- record: ncu --csv --page raw
CREATE TABLE ncu_kernels (
    source_id          INTEGER NOT NULL, -- file
    kernel_id          BIGINT NOT NULL,  -- number of the launch in the file
    kernel_name        VARCHAR,          -- name
    process_id         BIGINT,           -- pid
    process_name       VARCHAR,          -- program
    host               VARCHAR,          -- host name
    context            VARCHAR,          -- CUDA context
    stream             VARCHAR,          -- CUDA stream
    device             VARCHAR,          -- CUDA device
    compute_capability VARCHAR,          -- e.g. 9.0
    block_size         VARCHAR,          -- threads of a block, (x, y, z)
    grid_size          VARCHAR,          -- blocks, (x, y, z)
    launched_at        VARCHAR           -- time of the run as printed; replayed, so never the incident's
);

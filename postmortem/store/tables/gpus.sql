-- one row a GPU of the machine
-- record: nsys profile -t cuda
CREATE TABLE gpus (
    source_id        INTEGER NOT NULL, -- file
    gpu_id           BIGINT NOT NULL,  -- GPU number of the export
    name             VARCHAR,          -- model
    bus              VARCHAR,          -- PCI bus location
    uuid             VARCHAR,          -- UUID
    chip             VARCHAR,          -- chip name
    cuda_device      BIGINT,           -- CUDA ordinal without CUDA_VISIBLE_DEVICES
    memory_bytes     BIGINT,           -- bytes
    memory_bandwidth BIGINT,           -- bytes/s
    l2_bytes         BIGINT,           -- L2 cache, bytes
    clock_hz         BIGINT,           -- core clock, Hz
    sm_count         BIGINT,           -- multiprocessors
    compute_major    BIGINT,           -- compute capability
    compute_minor    BIGINT            -- compute capability
);

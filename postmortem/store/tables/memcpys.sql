-- one row a copy of memory by a GPU
-- record: nsys profile -t cuda,nvtx, exported with nsys export --type sqlite
CREATE TABLE memcpys (
    source_id        INTEGER NOT NULL, -- file
    start_ns         BIGINT NOT NULL,  -- start, ns since session start
    end_ns           BIGINT NOT NULL,  -- end, ns since session start
    device_id        BIGINT,           -- CUDA ordinal within its process; gpu_devices maps it to the GPU
    context_id       BIGINT,           -- CUDA context, unique within its process
    green_context_id BIGINT,           -- green context; NULL where none or not recorded
    stream_id        BIGINT,           -- stream, unique within its context
    correlation_id   BIGINT,           -- number of the launching call, unique within its process
    global_pid       BIGINT,           -- process: machine, pid, zeros (bits 48+, 24-47, 0-23)
    bytes            BIGINT,           -- size, bytes
    copy_kind        BIGINT,           -- direction as a number
    direction        VARCHAR,          -- HtoD, DtoH, DtoD, PtoP, HtoH, ...
    src_kind         BIGINT,           -- ENUM_CUDA_MEM_KIND
    dst_kind         BIGINT,           -- ENUM_CUDA_MEM_KIND
    src_device_id    BIGINT,           -- CUDA ordinal
    src_context_id   BIGINT,           -- CUDA context
    dst_device_id    BIGINT,           -- CUDA ordinal
    dst_context_id   BIGINT,           -- CUDA context
    migration_cause  BIGINT,           -- unified memory: why
    graph_node_id    BIGINT,           -- CUDA graph node
    virtual_address  BIGINT,           -- unified memory: address
    copy_count       BIGINT            -- copies merged into this row
);

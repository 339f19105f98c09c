-- one row a filling of memory by a GPU
-- record: nsys profile -t cuda,nvtx, exported with nsys export --type sqlite
CREATE TABLE memsets (
    source_id        INTEGER NOT NULL, -- file
    start_ns         BIGINT NOT NULL,  -- start, ns since session start
    end_ns           BIGINT NOT NULL,  -- end, ns since session start
    device_id        BIGINT,           -- CUDA ordinal within its process; gpu_devices maps it to the GPU
    context_id       BIGINT,           -- CUDA context, unique within its process
    green_context_id BIGINT,           -- green context; NULL where none or not recorded
    stream_id        BIGINT,           -- stream, unique within its context
    correlation_id   BIGINT,           -- number of the launching call, unique within its process
    global_pid       BIGINT,           -- process: machine, pid, zeros (bits 48+, 24-47, 0-23)
    value            BIGINT,           -- the value written
    bytes            BIGINT,           -- size, bytes
    graph_node_id    BIGINT,           -- CUDA graph node
    mem_kind         BIGINT            -- ENUM_CUDA_MEM_KIND
);

-- one row a wait for a GPU
-- record: nsys profile -t cuda,nvtx, exported with nsys export --type sqlite
CREATE TABLE synchronizations (
    source_id        INTEGER NOT NULL, -- file
    start_ns         BIGINT NOT NULL,  -- start, ns since session start
    end_ns           BIGINT NOT NULL,  -- end, ns since session start
    device_id        BIGINT,           -- CUDA ordinal within its process; gpu_devices maps it to the GPU
    context_id       BIGINT,           -- CUDA context, unique within its process
    green_context_id BIGINT,           -- green context; NULL where none or not recorded
    stream_id        BIGINT,           -- stream, unique within its context
    correlation_id   BIGINT,           -- number of the launching call, unique within its process
    global_pid       BIGINT,           -- process: machine, pid, zeros (bits 48+, 24-47, 0-23)
    sync_type        BIGINT,           -- what was waited for, as a number
    sync_name        VARCHAR,          -- event, stream_wait, stream, context
    event_id         BIGINT,           -- CUDA event
    event_sync_id    BIGINT            -- number of the record of that event
);

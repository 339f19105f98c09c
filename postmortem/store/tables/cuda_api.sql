-- one row a CUDA runtime or driver call
-- record: nsys profile -t cuda,nvtx, exported with nsys export --type sqlite
CREATE TABLE cuda_api (
    source_id      INTEGER NOT NULL, -- file
    start_ns       BIGINT NOT NULL,  -- start, ns since session start
    end_ns         BIGINT NOT NULL,  -- end, ns since session start
    api            VARCHAR,          -- runtime, driver, or the number of another event class
    global_tid     BIGINT,           -- thread: machine, pid, tid (bits 48+, 24-47, 0-23)
    correlation_id BIGINT,           -- number of the call, unique within its process
    name           VARCHAR,          -- function, without the version suffix (_v7000)
    recorded_name  VARCHAR,          -- function as recorded
    return_value   BIGINT,           -- 0 = success
    callchain_id   BIGINT            -- call chain of the export
);

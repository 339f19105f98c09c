-- one row a interval in which the profiler itself slowed a thread
-- record: nsys profile (always recorded)
CREATE TABLE profiler_overhead (
    source_id      INTEGER NOT NULL, -- file
    start_ns       BIGINT NOT NULL,  -- start, ns since session start
    end_ns         BIGINT NOT NULL,  -- end, ns since session start
    global_tid     BIGINT,           -- thread
    correlation_id BIGINT,           -- call it belongs to
    name           VARCHAR,          -- what the profiler did
    overhead_type  BIGINT,           -- as a number
    return_value   BIGINT,           -- as recorded
    recorded_in    VARCHAR NOT NULL  -- table of the export
);

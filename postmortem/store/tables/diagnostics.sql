-- one row a message of the profiler about its own recording
-- record: nsys profile, 2024 or newer
CREATE TABLE diagnostics (
    source_id      INTEGER NOT NULL, -- file
    t_ns           BIGINT NOT NULL,  -- ns since session start; may be negative
    severity       VARCHAR,          -- info, warning, error, verbose, or its number
    source         BIGINT,           -- who says it, as a number
    timestamp_type BIGINT,           -- as a number
    global_pid     BIGINT,           -- process
    text           VARCHAR           -- message
);

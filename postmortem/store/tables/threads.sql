-- one row a named thread
-- record: nsys profile (always recorded)
CREATE TABLE threads (
    source_id  INTEGER NOT NULL, -- file
    global_tid BIGINT,           -- thread: machine, pid, tid
    pid        BIGINT,           -- pid
    tid        BIGINT,           -- tid
    name       VARCHAR,          -- name
    named_by   VARCHAR NOT NULL  -- system or nvtx
);

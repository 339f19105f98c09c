-- one row a process of the machine
-- record: nsys profile (always recorded, 2022 or newer)
CREATE TABLE processes (
    source_id  INTEGER NOT NULL, -- file
    global_pid BIGINT,           -- process: machine, pid, zeros
    pid        BIGINT,           -- pid
    name       VARCHAR           -- program
);

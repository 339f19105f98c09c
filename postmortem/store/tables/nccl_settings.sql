-- one row a setting of NCCL that a process reports
-- record: NCCL_DEBUG=INFO (subsystem ENV)
CREATE TABLE nccl_settings (
    source_id INTEGER NOT NULL, -- file
    line      BIGINT NOT NULL,  -- physical line from 1
    piece     INTEGER NOT NULL, -- record within the line, from 0
    host      VARCHAR,          -- host
    pid       BIGINT,           -- process id
    tid       BIGINT,           -- thread id
    name      VARCHAR NOT NULL, -- NCCL_ALGO, NCCL_P2P_DISABLE, ...
    value     VARCHAR NOT NULL  -- value as printed
);

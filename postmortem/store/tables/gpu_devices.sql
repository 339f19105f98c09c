-- one row a CUDA device of a process: which GPU it is
-- record: nsys profile -t cuda
CREATE TABLE gpu_devices (
    source_id  INTEGER NOT NULL, -- file
    pid        BIGINT,           -- process; NULL: any
    device_id  BIGINT NOT NULL,  -- CUDA ordinal within the process
    gpu_id     BIGINT NOT NULL,  -- GPU number of the export
    known_from VARCHAR NOT NULL  -- table of the export
);

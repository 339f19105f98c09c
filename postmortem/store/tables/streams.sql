-- one row a CUDA stream
-- record: nsys profile -t cuda,nvtx, exported with nsys export --type sqlite
CREATE TABLE streams (
    source_id  INTEGER NOT NULL, -- file
    pid        BIGINT,           -- process
    context_id BIGINT,           -- CUDA context
    stream_id  BIGINT NOT NULL,  -- stream
    priority   BIGINT,           -- signed; lower is more urgent
    flags      BIGINT,           -- as recorded
    is_default BOOLEAN NOT NULL, -- the default stream of its context
    device_id  BIGINT            -- CUDA ordinal; NULL where not recorded
);

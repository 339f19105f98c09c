-- one row a record of an NCCL log (a physical line may hold several), or a PyTorch watchdog line in it
-- record: NCCL_DEBUG=INFO (NCCL_DEBUG_SUBSYS=INIT,COLL,P2P,TUNING,... for more kinds)
CREATE TABLE nccl_records (
    source_id   INTEGER NOT NULL,  -- file
    line        BIGINT NOT NULL,   -- physical line from 1
    piece       INTEGER NOT NULL,  -- record within the line, from 0
    level       VARCHAR,           -- INFO, WARN, TRACE, CALL, VERSION; E, W, I of PyTorch; NULL: torn before its level
    kind        VARCHAR NOT NULL,  -- coll, init_start, tuning_named, ib_completion, ..., other
    host        VARCHAR,           -- host as printed; NULL where absent or torn
    pid         BIGINT,            -- process id; NULL where the prefix is absent
    tid         BIGINT,            -- thread id; NULL where the prefix is absent
    dev         INTEGER,           -- CUDA device current in the printing thread: neither rank nor physical GPU
    t_ns        BIGINT,            -- time of printing or reading, UTC epoch ns by the log's own clock; NULL where none is printed
    time_from   VARCHAR,           -- whose time: nccl, launcher, container
    time_local  BOOLEAN,           -- true: no zone was printed, t_ns holds local digits read as UTC
    loc         VARCHAR,           -- file:line in the source of NCCL or its plugin
    msg         VARCHAR,           -- message; NULL for coll (nccl_calls holds its parts)
    torn        BOOLEAN NOT NULL,  -- begins like a known kind and is not complete, or has no message
    prefix_rank INTEGER            -- rank that the launcher's prefix names (mpirun, torchrun, srun)
);

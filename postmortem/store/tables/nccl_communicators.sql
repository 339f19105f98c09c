-- one row a communicator and rank, as one process saw it
-- record: NCCL_DEBUG=INFO (subsystem INIT)
CREATE TABLE nccl_communicators (
    source_id     INTEGER NOT NULL, -- file
    comm_no       INTEGER NOT NULL, -- number of the row within the file, from 0
    comm_key      VARCHAR NOT NULL, -- equal on all ranks where NCCL lets it be known: comm_id (/split2 and so on where NCCL gave it again, 2.18 to 2.22), or parent's key/split/color/nranks; else host:pid:pointer@line
    comm_id       VARCHAR,          -- commId as printed, hex text: equal for all splits of one parent and color up to 2.22; NULL for split children and before 2.16
    host          VARCHAR,          -- host
    pid           BIGINT,           -- process id
    comm          UBIGINT NOT NULL, -- pointer: unique in one process until destroyed
    parent        UBIGINT,          -- pointer of the parent (split, shrink)
    parent_key    VARCHAR,          -- comm_key of the parent
    split_count   BIGINT,           -- how many splits its parent had before
    color         BIGINT,           -- color of the split
    key           BIGINT,           -- key of the split
    rank          INTEGER,          -- rank in this communicator
    nranks        INTEGER,          -- ranks in this communicator
    cuda_dev      INTEGER,          -- CUDA device number in its process
    nvml_dev      INTEGER,          -- physical GPU number on its host
    bus_id        VARCHAR,          -- PCI bus id, hex text as printed
    n_nodes       INTEGER,          -- hosts in this communicator
    local_ranks   INTEGER,          -- ranks of this communicator on the same host
    local_rank    INTEGER,          -- number among them
    function      VARCHAR,          -- call that made it, e.g. ncclCommInitRankConfig
    version       VARCHAR,          -- NCCL version of its process, else of the file
    start_line    BIGINT,           -- line of Init START
    complete_line BIGINT,           -- line of Init COMPLETE; NULL: it was not seen to come up
    end_line      BIGINT,           -- line of Destroy, Abort or Revoke
    end_how       VARCHAR,          -- Destroy COMPLETE, Abort COMPLETE, ...
    complete_ns   BIGINT,           -- time of Init COMPLETE, UTC epoch ns; NULL where none is printed
    init_s        DOUBLE            -- duration of its initialisation as printed, s
);

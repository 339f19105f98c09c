-- one row a rank's part in a collective, from its arrival to its leaving, matched with the other ranks' parts
-- record: nsys profile -t cuda,nvtx on every rank (NCCL kernels, or NVTX ranges of kind collective), or NCCL Inspector with NCCL_INSPECTOR_DUMP_VERBOSE=1
CREATE TABLE collective_calls (
    source_id INTEGER NOT NULL, -- file
    replica   VARCHAR,          -- replica
    rank      INTEGER NOT NULL, -- rank
    comm      VARCHAR NOT NULL, -- communicator; of kernels its longest stream; empty where unnamed
    seq       BIGINT,           -- number of the collective in its communicator: recorded, or matched; NULL: matches none
    op        VARCHAR,          -- AllReduce, ..., SendRecv
    bytes     BIGINT,           -- message size, bytes, of AllGather and ReduceScatter all ranks' parts; kernels don't tell
    start_ns  BIGINT NOT NULL,  -- arrival, UTC epoch ns by the source's own clock (clock_fits aligns it)
    end_ns    BIGINT NOT NULL,  -- leaving, UTC epoch ns by the source's own clock
    way       VARCHAR NOT NULL  -- where the times come from: NCCL kernels, NVTX collective ranges, NCCL Inspector
);

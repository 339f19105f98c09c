-- one row a collective or send/receive call, at the moment it was enqueued; replays of CUDA graphs leave none
-- record: NCCL_DEBUG=INFO with NCCL_DEBUG_SUBSYS=COLL
CREATE TABLE nccl_calls (
    source_id INTEGER NOT NULL,  -- file
    line      BIGINT NOT NULL,   -- physical line from 1
    piece     INTEGER NOT NULL,  -- record within the line, from 0
    host      VARCHAR,           -- host
    pid       BIGINT,            -- process id
    tid       BIGINT,            -- thread id
    dev       INTEGER,           -- CUDA device current in the calling thread
    t_ns      BIGINT,            -- time of enqueueing, UTC epoch ns by the log's own clock; NULL where none is printed
    time_from VARCHAR,           -- whose time: nccl, launcher, container
    func      VARCHAR NOT NULL,  -- AllReduce, AllGather, ReduceScatter, Broadcast, Reduce, Send, Recv, ...
    op_count  UBIGINT NOT NULL,  -- opCount as printed (hex there): no sequence number since 2.8
    count     UBIGINT NOT NULL,  -- elements as passed to the call
    datatype  VARCHAR NOT NULL,  -- float16, bfloat16, ...
    op        VARCHAR NOT NULL,  -- sum, prod, max, min, avg, user<n>
    bytes     UBIGINT,           -- count times the size of the datatype, bytes
    root      INTEGER NOT NULL,  -- root; the peer for Send and Recv; 0 where meaningless
    nranks    INTEGER NOT NULL,  -- ranks of the communicator, as printed
    comm      UBIGINT NOT NULL,  -- pointer of the communicator
    comm_no   INTEGER,           -- row of nccl_communicators of the same file; NULL: its initialisation is not in the file
    comm_key  VARCHAR NOT NULL,  -- its comm_key; host:pid:pointer where its initialisation is not in the file
    rank      INTEGER,           -- rank of the caller in it; NULL where unknown
    call_no   BIGINT NOT NULL,   -- k-th collective of this rank on this communicator, from 1; Send and Recv: k-th to this peer
    stream    UBIGINT NOT NULL   -- pointer of the CUDA stream
);

-- one row a warning, a retry or a step of an error's way up the call stack
-- record: NCCL_DEBUG=WARN (INFO for the way up and the retries)
CREATE TABLE nccl_errors (
    source_id   INTEGER NOT NULL, -- file
    line        BIGINT NOT NULL,  -- physical line from 1
    piece       INTEGER NOT NULL, -- record within the line, from 0
    host        VARCHAR,          -- host
    pid         BIGINT,           -- process id
    tid         BIGINT,           -- thread id
    dev         INTEGER,          -- CUDA device current in the printing thread
    t_ns        BIGINT,           -- UTC epoch ns by the log's own clock; NULL where none is printed
    kind        VARCHAR NOT NULL, -- ib_completion, ib_async, socket_fail, socket_retry, error_unwind, warn_other
    peer        VARCHAR,          -- address or host of the other side, without its port
    peer_port   INTEGER,          -- its port
    status      INTEGER,          -- InfiniBand completion status: 5 flush (a consequence), 12 retries exceeded
    vendor      INTEGER,          -- vendor's error number: 129 retries exceeded, 249 flush
    result      INTEGER,          -- ncclResult_t: 1 CUDA, 2 system, 3 internal, 5 usage, 6 remote
    hca         VARCHAR,          -- network device, where printed
    loc         VARCHAR,          -- file:line in the source of NCCL or its plugin
    first_cause BOOLEAN NOT NULL, -- the first of its process since a communicator came up (InfiniBand: first status other than 5 of a peer); the rest follows from it
    msg         VARCHAR NOT NULL  -- message
);

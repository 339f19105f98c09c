-- one row a choice of algorithm and protocol; printed by rank 0 of a communicator only
-- record: NCCL_DEBUG=INFO with NCCL_DEBUG_SUBSYS=TUNING (NCCL 2.20 or newer)
CREATE TABLE nccl_tuning (
    source_id    INTEGER NOT NULL, -- file
    line         BIGINT NOT NULL,  -- physical line from 1
    piece        INTEGER NOT NULL, -- record within the line, from 0
    host         VARCHAR,          -- host
    pid          BIGINT,           -- process id
    tid          BIGINT,           -- thread id
    dev          INTEGER,          -- CUDA device current in the calling thread
    t_ns         BIGINT,           -- UTC epoch ns by the log's own clock; NULL where none is printed
    func         VARCHAR,          -- collective; NULL in 2.20 to 2.22
    variant      VARCHAR,          -- Symmetric, Copy Engine, ...; NULL: the usual kernels
    bytes        UBIGINT NOT NULL, -- size that was decided for, bytes; of AllGather and ReduceScatter one rank's part, all ranks' in lines with numbers
    algo         VARCHAR,          -- TREE, RING, NVLS, ...; NULL for variants
    proto        VARCHAR,          -- LL, LL128, SIMPLE; NULL for variants
    channel_lo   INTEGER,          -- first channel used
    channel_hi   INTEGER,          -- last channel used
    predicted_us DOUBLE,           -- the cost model's time, microseconds: no measurement
    kernel       VARCHAR,          -- kernel or copy, for variants
    channels     INTEGER,          -- channels, for variants
    threads      INTEGER,          -- threads, for variants
    comm_key     VARCHAR,          -- communicator of the call that fits (same thread, collective, size); NULL where none does
    call_no      BIGINT            -- its call_no
);

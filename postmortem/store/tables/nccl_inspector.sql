-- one row a collective or send/receive of one rank as NCCL Inspector measured it
-- record: NCCL Inspector (NCCL_PROFILER_PLUGIN, NCCL_INSPECTOR_ENABLE=1; NCCL_INSPECTOR_DUMP_VERBOSE=1 for start times)
CREATE TABLE nccl_inspector (
    source_id     INTEGER NOT NULL, -- file
    line          BIGINT NOT NULL,  -- line from 1
    comm_id       VARCHAR,          -- commHash, hex text: equals comm_id of the NCCL log
    comm_name     VARCHAR,          -- name of the communicator, where set
    rank          INTEGER,          -- rank in the communicator
    n_ranks       INTEGER,          -- ranks
    n_nodes       INTEGER,          -- hosts
    coll          VARCHAR NOT NULL, -- AllReduce, ..., Send, Recv
    sn            BIGINT,           -- sequence number by communicator and collective kind
    peer          INTEGER,          -- other rank of a Send or Recv; NULL for collectives
    bytes         BIGINT,           -- message size, bytes; of AllGather and ReduceScatter one rank's part
    exec_us       DOUBLE,           -- the longest channel's time on this rank, waiting for late peers included, microseconds
    timing_source VARCHAR,          -- kernel_gpu, kernel_cpu, collective_cpu
    algbw         DOUBLE,           -- GB/s, size over time
    busbw         DOUBLE,           -- GB/s, corrected for the collective's traffic
    start_ns      BIGINT,           -- earliest kernel start (else the call's start), UTC epoch ns of the host; NULL without verbose dumps
    stop_ns       BIGINT,           -- latest kernel stop, UTC epoch ns of the host; NULL without verbose dumps or kernels
    dump_ns       BIGINT,           -- when the dump thread wrote the record, UTC epoch ns
    hostname      VARCHAR,          -- host
    pid           BIGINT,           -- process id
    extra         VARCHAR           -- unknown fields, JSON object; NULL where none
);

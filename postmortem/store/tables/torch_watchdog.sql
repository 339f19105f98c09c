-- one row a collective that PyTorch's watchdog gave up on, or a state of a process group that it reported
-- record: stderr of PyTorch (ProcessGroupNCCL)
CREATE TABLE torch_watchdog (
    source_id      INTEGER NOT NULL, -- file
    line           BIGINT NOT NULL,  -- physical line from 1, of its first telling
    kind           VARCHAR NOT NULL, -- timeout, status
    rank           INTEGER,          -- rank in the process group
    prefix_rank    INTEGER,          -- rank that the launcher's prefix names (mpirun, torchrun, srun)
    pg             VARCHAR,          -- process group id as printed; NULL where the line names none
    pg_name        VARCHAR,          -- its description, e.g. default_pg
    seq            BIGINT,           -- sequence number of the work in its process group; NULL: not printed, or a state told as another rank timed out
    op             VARCHAR,          -- ALLREDUCE, _ALLGATHER_BASE, BROADCAST, ...
    numel          BIGINT,           -- elements going in
    numel_out      BIGINT,           -- elements coming out
    timeout_ms     DOUBLE,           -- limit, ms
    ran_ms         DOUBLE,           -- time that it had run, ms
    last_enqueued  BIGINT,           -- last work enqueued
    last_completed BIGINT,           -- last work completed
    t_ns           BIGINT,           -- UTC epoch ns by the log's own clock (local digits read as UTC); NULL where year or time is not known
    time_text      VARCHAR           -- time as printed (MMDD HH:MM:SS.fraction, local, without a year)
);

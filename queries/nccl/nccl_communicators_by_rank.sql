-- Which rank is which process, host and GPU, in each communicator.
-- One row a communicator and rank, as its process printed it. `comm` is equal on all ranks where NCCL
-- printed commId (2.16 and newer) or a split's parent has one; else it is the process's own and says
-- nothing about other ranks. Up to 2.23 it does not tell splits of one parent and color into other ranks apart: a rank
-- then stands there twice. `state` tells how far its life can be followed in the log: a rank that is
-- only `started` hung, died, or its line was torn. Ranks whose log is not in the bundle have no row:
-- compare `ranks_seen` with `nranks`.
-- column: comm VARCHAR - — key of the communicator
-- column: rank INTEGER - — rank in it
-- column: nranks INTEGER - — its ranks
-- column: ranks_seen BIGINT - — ranks of it that the bundle's logs name
-- column: state VARCHAR - — started, up, ended, seen (layout or end without a beginning)
-- column: host VARCHAR - — host
-- column: pid BIGINT - — process
-- column: cuda_dev INTEGER - — CUDA device number in its process
-- column: nvml_dev INTEGER - — physical GPU on its host
-- column: bus_id VARCHAR - — PCI bus id, hex
-- column: parent VARCHAR - — key of the communicator that it was split from
-- column: function VARCHAR - — call that made it
-- column: version VARCHAR - — NCCL version
-- column: init_s DOUBLE s — time that its initialisation took
-- column: end_how VARCHAR - — how it ended
-- column: source VARCHAR - — path in the bundle
-- column: line BIGINT - — first line that tells of it
-- needs: nccl_communicators(comm_key, rank)
SELECT c.comm_key AS comm, c.rank, c.nranks,
       count(DISTINCT c.rank) OVER (PARTITION BY c.comm_key) AS ranks_seen,
       CASE WHEN c.end_line IS NOT NULL THEN 'ended'
            WHEN c.complete_line IS NOT NULL THEN 'up'
            WHEN c.start_line IS NOT NULL THEN 'started'
            ELSE 'seen' END AS state,
       c.host, c.pid, c.cuda_dev, c.nvml_dev, c.bus_id, c.parent_key AS parent, c."function", c.version,
       c.init_s, c.end_how, s.path AS source,
       coalesce(c.start_line, c.complete_line, c.end_line) AS line
FROM nccl_communicators AS c
JOIN sources AS s USING (source_id)
ORDER BY c.comm_key, c.rank, s.path, line, c.comm_no

-- How evenly collectives of one kind and size run: bandwidth, jitter of the transfer, and how far apart ranks arrive.
-- One row a replica, communicator, kind, size and number of ranks. Transfer is what a collective takes once all have
-- arrived (the shortest stay of a rank). Jitter is a transfer's distance from the median one. Skew is the longest wait of
-- a rank for the last to arrive; it needs no clock. Bandwidth: bytes over the median transfer, and the same times what
-- the algorithm must move at least (2 (n - 1) / n of an AllReduce, (n - 1) / n of AllGather, ReduceScatter and AlltoAll),
-- as NVIDIA's nccl-tests have it. It can't tell sizes of NCCL's kernels
-- (their bytes and bandwidth are NULL), nor ranks that recorded nothing: busbw is too low without them.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: comm VARCHAR - — communicator, empty where unnamed
-- column: op VARCHAR - — AllReduce, ...
-- column: bytes BIGINT B — message size; NULL: not recorded
-- column: ranks BIGINT ranks — that recorded it
-- column: calls BIGINT collectives — of this kind and size
-- column: transfer_ns DOUBLE ns — median transfer
-- column: transfer_p95_ns DOUBLE ns — 95th percentile
-- column: transfer_p99_ns DOUBLE ns — 99th percentile
-- column: jitter_p50_ns DOUBLE ns — half of the transfers lie as close to the median
-- column: jitter_p95_ns DOUBLE ns — 95 % do
-- column: jitter_p99_ns DOUBLE ns — 99 % do
-- column: skew_p50_ns DOUBLE ns — longest wait, median
-- column: skew_p95_ns DOUBLE ns — 95th percentile
-- column: skew_p99_ns DOUBLE ns — 99th percentile
-- column: algbw_gbps DOUBLE GB/s — bytes over the median transfer
-- column: busbw_gbps DOUBLE GB/s — the same times what every rank must at least move
-- column: source VARCHAR - — where the times come from
-- needs: collective_calls(seq, rank, start_ns, end_ns)
-- uses: _shared/collective_arrivals
WITH each AS (
    SELECT replica, comm, seq, op, max(bytes) AS bytes, count(*) AS ranks, min(transfer_ns) AS transfer_ns, max(wait_ns) AS skew_ns,
           any_value(way) AS way
    FROM collective_arrivals
    WHERE ranks > 1 AND ($replica IS NULL OR replica = $replica)
    GROUP BY replica, comm, seq, op
), apart AS (
    SELECT *, median(transfer_ns) OVER (PARTITION BY replica, comm, op, bytes, ranks) AS usual_ns FROM each
), grouped AS (
    SELECT replica, comm, op, bytes, ranks, count(*) AS calls, any_value(usual_ns) AS transfer_ns,
           quantile_cont(CAST(transfer_ns AS DOUBLE), [0.95, 0.99]) AS slow,
           quantile_cont(abs(transfer_ns - usual_ns), [0.5, 0.95, 0.99]) AS jitter,
           quantile_cont(CAST(skew_ns AS DOUBLE), [0.5, 0.95, 0.99]) AS skew, any_value(way) AS way
    FROM apart
    GROUP BY replica, comm, op, bytes, ranks
)
SELECT replica, comm, op, bytes, ranks, calls, transfer_ns, slow[1] AS transfer_p95_ns, slow[2] AS transfer_p99_ns,
       jitter[1] AS jitter_p50_ns, jitter[2] AS jitter_p95_ns, jitter[3] AS jitter_p99_ns,
       skew[1] AS skew_p50_ns, skew[2] AS skew_p95_ns, skew[3] AS skew_p99_ns,
       bytes / nullif(transfer_ns, 0) AS algbw_gbps,
       bytes / nullif(transfer_ns, 0) * CASE
           WHEN lower(op) = 'allreduce' THEN 2.0 * (ranks - 1) / ranks
           WHEN lower(op) IN ('allgather', 'reducescatter', 'alltoall') THEN 1.0 * (ranks - 1) / ranks
           ELSE 1.0 END AS busbw_gbps,
       way AS source
FROM grouped
ORDER BY replica, comm, op, bytes NULLS FIRST, ranks

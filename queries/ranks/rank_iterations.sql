-- Where each rank's time went, iteration by iteration.
-- One row a replica, rank and iteration; compute + comm + sync + idle = the iteration, to the nanosecond.
-- From kernels the iteration is the GPU's: from the first kernel launched in it to the end of the last. Without
-- kernels it is the host's range, and idle can't be told from compute: idle is then what lies between two ranges of one
-- iteration. The four are NULL where the times are s records' and this one lacks the comm_ms that the rank's others have.
-- A CUDA graph that was recorded
-- whole counts as one kernel: it can't tell the collectives and waits inside, which are compute.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: start_ns BIGINT ns — start, UTC epoch
-- column: end_ns BIGINT ns — end, UTC epoch
-- column: compute_ns BIGINT ns — kernels but NCCL's ran, or a whole CUDA graph; without kernels: outside collectives
-- column: comm_ns BIGINT ns — else a collective transferred
-- column: sync_ns BIGINT ns — else it waited in a collective for the last rank
-- column: idle_ns BIGINT ns — nothing ran
-- column: source VARCHAR - — where the times come from
-- needs: s_records(rank, iteration, ts_ns, gpu_ms) or NVTX iteration ranges (nsys profile -t cuda,nvtx)
-- uses: _shared/rank_times
SELECT replica, rank, iteration, start_ns, end_ns, compute_ns, comm_ns, sync_ns, idle_ns, source
FROM rank_times
WHERE ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
ORDER BY replica, iteration, rank

-- Where each rank's time went, iteration by iteration.
-- One row a replica, rank and iteration; compute + comm + sync + idle = the iteration, to the nanosecond.
-- Without kernels it can't tell idle from compute: idle is then 0.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: start_ns BIGINT ns — start, UTC epoch
-- column: end_ns BIGINT ns — end, UTC epoch
-- column: compute_ns BIGINT ns — outside collectives
-- column: comm_ns BIGINT ns — transfer in collectives
-- column: sync_ns BIGINT ns — waiting in collectives for the last rank
-- column: idle_ns BIGINT ns — nothing ran
-- column: source VARCHAR - — where the times come from
-- needs: s_records(rank, iteration, gpu_ms)
-- uses: _shared/rank_times
SELECT replica, rank, iteration, start_ns, end_ns, end_ns - start_ns - comm_ns - sync_ns AS compute_ns, comm_ns, sync_ns,
       CAST(0 AS BIGINT) AS idle_ns, source
FROM rank_times
WHERE ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
ORDER BY replica, iteration, rank

-- Which regime each rank and each replica was in, when, and what pushed it there.
-- One row an unbroken stretch of one regime. rank NULL is the replica: it is in the regime of its worst rank, since
-- collectives couple them. It can't tell regimes of iterations that recorded neither memory, queue, paging nor isolation.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank; NULL: the replica
-- column: start_ns BIGINT ns — start of its first iteration, UTC epoch
-- column: end_ns BIGINT ns — start of the iteration after its last, or the end of the recording, UTC epoch
-- column: regime VARCHAR - — isolation_strict, memory_evaporation, paging, memory_pressured, queue_degraded or normal
-- column: reason VARCHAR - — the figure at its start that decided; NULL: normal
-- column: first_iteration BIGINT - — its first iteration
-- column: last_iteration BIGINT - — its last iteration
-- column: iterations BIGINT iterations — how many were recorded
-- needs: s_records(replica, iteration, ts_ns)
-- uses: _shared/regime_spans
SELECT replica, rank, start_ns, end_ns, regime, reason, first_iteration, last_iteration, iterations
FROM regime_spans
WHERE $replica IS NULL OR replica = $replica
ORDER BY replica, rank NULLS FIRST, start_ns

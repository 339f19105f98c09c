-- The engine's iterations: how long, how many sequences, which tactic, how much memory.
-- One row a replica and iteration that s records tell of. It can't tell iterations that no record names.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: iteration BIGINT - — the engine's step counter
-- column: start_ns BIGINT ns — start, UTC epoch
-- column: end_ns BIGINT ns — start plus gpu_ms, UTC epoch
-- column: gpu_ms DOUBLE ms — the whole step, collectives included
-- column: comm_ms DOUBLE ms — in collectives, mean over ranks
-- column: sync_ms DOUBLE ms — of that, waiting for the slowest rank
-- column: batch_size BIGINT sequences — in the batch
-- column: requests BIGINT requests — of which s records tell
-- column: queue_ms DOUBLE ms — median wait of its requests
-- column: queue_p95_ms DOUBLE ms — as the engine says it
-- column: vram_free_mb DOUBLE MiB — smallest over ranks, before pins
-- column: workspace_free_mb DOUBLE MiB — smallest over ranks
-- column: kv_pool_total_mb DOUBLE MiB — the KV pool
-- column: isr_pinned_mb DOUBLE MiB — held by state replication
-- column: ckpt_pinned_mb DOUBLE MiB — held by the checkpointer
-- column: dequant_cycles BIGINT cycles — most of any rank
-- column: algo_id VARCHAR - — the tactic that most of its requests report
-- column: precision_path VARCHAR - — the precision that most of its requests report
-- column: isolation_mode VARCHAR - — shared or strict
-- needs: s_records(iteration, replica)
-- uses: _shared/engine_iterations
SELECT replica, iteration, ts_ns AS start_ns, CAST(ts_ns + gpu_ms * 1e6 AS BIGINT) AS end_ns, gpu_ms, comm_ms, sync_ms,
       batch_size, requests, queue_ms, queue_p95_ms, vram_free_mb, workspace_free_mb, kv_pool_total_mb,
       isr_pinned_mb, ckpt_pinned_mb, dequant_cycles, algo_id, precision_path, isolation_mode
FROM engine_iterations
WHERE $replica IS NULL OR replica = $replica
ORDER BY replica, iteration

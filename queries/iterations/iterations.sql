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
-- column: prompts BIGINT sequences — of the batch, at their first step or without one: it computed their prompts
-- column: queue_ms DOUBLE ms — median wait of its requests
-- column: queue_p95_ms DOUBLE ms — as the engine says it
-- column: waiting BIGINT requests — that waited for it without being in it; NULL: no wait is recorded
-- column: vram_free_mb DOUBLE MiB — smallest over ranks, before pins
-- column: workspace_free_mb DOUBLE MiB — smallest over ranks
-- column: kv_pool_total_mb DOUBLE MiB — the KV pool
-- column: isr_pinned_mb DOUBLE MiB — held by state replication
-- column: ckpt_pinned_mb DOUBLE MiB — held by the checkpointer
-- column: dequant_cycles BIGINT cycles — most of any rank
-- column: algo_id VARCHAR - — the tactic that most of its requests report
-- column: precision_path VARCHAR - — the precision that most of its requests report
-- column: isolation_mode VARCHAR - — shared or strict
-- column: baseline BOOLEAN - — whether it began within the calm window that bundle.toml names; NULL: it names none
-- needs: s_records(iteration, replica)
-- uses: _shared/engine_iterations, _shared/waits, _shared/request_runs, _shared/named_baseline
SELECT e.replica, e.iteration, e.ts_ns AS start_ns, CAST(e.ts_ns + e.gpu_ms * 1e6 AS BIGINT) AS end_ns, e.gpu_ms,
       e.comm_ms, e.sync_ms, e.batch_size, e.requests, e.prompts, e.queue_ms, e.queue_p95_ms,
       CASE WHEN t.replica IS NOT NULL THEN coalesce(w.waiting, 0) END AS waiting, e.vram_free_mb,
       e.workspace_free_mb, e.kv_pool_total_mb, e.isr_pinned_mb, e.ckpt_pinned_mb, e.dequant_cycles, e.algo_id,
       e.precision_path, e.isolation_mode, e.ts_ns BETWEEN b.from_ns AND b.to_ns AS baseline
FROM engine_iterations AS e
CROSS JOIN named_baseline AS b
LEFT JOIN waits AS w ON w.replica = e.replica AND w.iteration = e.iteration
LEFT JOIN (SELECT DISTINCT replica FROM request_runs WHERE queue_ms IS NOT NULL) AS t ON t.replica = e.replica
WHERE $replica IS NULL OR e.replica = $replica
ORDER BY e.replica, e.iteration

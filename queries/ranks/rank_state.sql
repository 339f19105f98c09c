-- The state of each rank, iteration by iteration: memory, pins, evictions, dequantisation, tactic.
-- One row a replica, rank and iteration of which that rank made a record; where no rank of a replica made
-- any, the engine's own view, with rank NULL.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank; NULL: the engine's own view
-- column: iteration BIGINT - — the engine's step counter
-- column: ts_ns BIGINT ns — start, UTC epoch
-- column: gpu_ms DOUBLE ms — the whole step, collectives included
-- column: comm_ms DOUBLE ms — in collectives
-- column: sync_ms DOUBLE ms — of that, waiting
-- column: vram_free_mb DOUBLE MiB — before pins
-- column: workspace_free_mb DOUBLE MiB — free workspace
-- column: kv_pool_total_mb DOUBLE MiB — the KV pool
-- column: isr_pinned_mb DOUBLE MiB — held by state replication
-- column: ckpt_pinned_mb DOUBLE MiB — held by the checkpointer
-- column: kv_evicted_blocks BIGINT blocks — evicted in this step
-- column: recompute_tokens BIGINT tokens — recomputed in this step
-- column: dequant_cycles BIGINT cycles — dequantise/requantise cycles
-- column: algo_id VARCHAR - — tactic that ran
-- column: expected_algo_id VARCHAR - — tactic planned
-- column: fallback_reason VARCHAR - — why it was not the planned one
-- column: precision_path VARCHAR - — precision that ran
-- column: isolation_mode VARCHAR - — shared or strict
-- needs: s_records(rank, iteration)
-- uses: _shared/rank_states
SELECT replica, rank, iteration, ts_ns, gpu_ms, comm_ms, sync_ms, vram_free_mb, workspace_free_mb, kv_pool_total_mb,
       isr_pinned_mb, ckpt_pinned_mb, CAST(kv_evicted_blocks AS BIGINT) AS kv_evicted_blocks,
       CAST(recompute_tokens AS BIGINT) AS recompute_tokens, dequant_cycles, algo_id, expected_algo_id, fallback_reason,
       precision_path, isolation_mode
FROM rank_states
WHERE ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
ORDER BY replica, iteration, rank

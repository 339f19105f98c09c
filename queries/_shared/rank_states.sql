-- One row a replica, rank and iteration: that rank's own record of it (s records with a rank). Of a replica
-- whose ranks made no records, rank is NULL and the row is the engine's own view.
-- Records of single requests of that rank and iteration are taken together: times and memory are the
-- rank's, the same in each; counts of evicted blocks and recomputed tokens are added up only where
-- no record without a request gives the rank's own figure. own_ms: gpu_ms less comm_ms; of a rank that records comm_ms, a
-- record without it does not tell (NULL), or a hole would be compute.
-- kept: every chain asks for it, and it looks at all records
CREATE VIEW rank_states AS
SELECT replica, rank, iteration,
       min(ts_ns) AS ts_ns, max(gpu_ms) AS gpu_ms, max(comm_ms) AS comm_ms, max(sync_ms) AS sync_ms,
       max(gpu_ms) - CASE WHEN count(max(comm_ms)) OVER (PARTITION BY replica, rank) = 0 THEN 0 ELSE max(comm_ms) END AS own_ms,
       max(batch_size) AS batch_size, min(vram_free_mb) AS vram_free_mb,
       min(workspace_free_mb) AS workspace_free_mb, max(kv_pool_total_mb) AS kv_pool_total_mb,
       max(isr_pinned_mb) AS isr_pinned_mb, max(ckpt_pinned_mb) AS ckpt_pinned_mb,
       coalesce(max(kv_evicted_blocks) FILTER (WHERE req_id IS NULL), sum(kv_evicted_blocks)) AS kv_evicted_blocks,
       coalesce(max(recompute_tokens) FILTER (WHERE req_id IS NULL), sum(recompute_tokens)) AS recompute_tokens,
       bool_or(paging_on) AS paging_on, max(dequant_cycles) AS dequant_cycles, max(queue_p95_ms) AS queue_p95_ms,
       min(algo_id) AS algo_id, min(kernel_variant) AS kernel_variant, min(expected_algo_id) AS expected_algo_id,
       min(fallback_reason) AS fallback_reason,
       min(precision_path) AS precision_path, max(isolation_mode) AS isolation_mode
FROM s_records
WHERE iteration IS NOT NULL AND replica IS NOT NULL
  AND (rank IS NOT NULL
       OR replica NOT IN (FROM s_records SELECT replica
                          WHERE rank IS NOT NULL AND iteration IS NOT NULL AND replica IS NOT NULL))
GROUP BY replica, rank, iteration

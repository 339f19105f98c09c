-- uses: _shared/steps, _shared/rank_states
-- One row a replica and engine iteration: the engine's own view where it was recorded, the mean over
-- ranks (memory: the smallest) otherwise.
-- kept: every chain starts from it, and it looks at all records
CREATE VIEW engine_iterations AS
WITH engine AS (
    SELECT replica, iteration, min(ts_ns) AS ts_ns, max(gpu_ms) AS gpu_ms, max(comm_ms) AS comm_ms,
           max(sync_ms) AS sync_ms, max(batch_size) AS batch_size, count(DISTINCT req_id) AS requests,
           count(DISTINCT req_id) FILTER (WHERE step = 0) AS first_steps, median(queue_ms) AS queue_ms,
           max(queue_p95_ms) AS queue_p95_ms, min(vram_free_mb) AS vram_free_mb,
           min(workspace_free_mb) AS workspace_free_mb, max(kv_pool_total_mb) AS kv_pool_total_mb,
           max(isr_pinned_mb) AS isr_pinned_mb, max(ckpt_pinned_mb) AS ckpt_pinned_mb,
           max(dequant_cycles) AS dequant_cycles, mode(algo_id ORDER BY algo_id) AS algo_id,
           mode(precision_path ORDER BY precision_path) AS precision_path,
           max(isolation_mode) AS isolation_mode, min(batch_fp) AS batch_fp
    FROM steps
    WHERE rank IS NULL AND replica IS NOT NULL AND iteration IS NOT NULL
    GROUP BY replica, iteration
), ranks AS (
    SELECT replica, iteration, min(ts_ns) AS ts_ns, avg(gpu_ms) AS gpu_ms, avg(comm_ms) AS comm_ms,
           avg(sync_ms) AS sync_ms, max(batch_size) AS batch_size, max(queue_p95_ms) AS queue_p95_ms,
           min(vram_free_mb) AS vram_free_mb, min(workspace_free_mb) AS workspace_free_mb,
           max(kv_pool_total_mb) AS kv_pool_total_mb, max(isr_pinned_mb) AS isr_pinned_mb,
           max(ckpt_pinned_mb) AS ckpt_pinned_mb, max(dequant_cycles) AS dequant_cycles,
           mode(algo_id ORDER BY algo_id) AS algo_id,
           mode(precision_path ORDER BY precision_path) AS precision_path, max(isolation_mode) AS isolation_mode
    FROM rank_states
    WHERE rank IS NOT NULL
    GROUP BY replica, iteration
), asked AS (  -- requests that a rank's recorder alone tells of
    SELECT replica, iteration, count(DISTINCT req_id) AS requests, count(DISTINCT req_id) FILTER (WHERE step = 0) AS first_steps,
           median(queue_ms) AS queue_ms, min(batch_fp) AS batch_fp
    FROM steps
    WHERE rank IS NOT NULL AND replica IS NOT NULL AND iteration IS NOT NULL
    GROUP BY replica, iteration
)
SELECT coalesce(e.replica, r.replica) AS replica, coalesce(e.iteration, r.iteration) AS iteration,
       coalesce(e.ts_ns, r.ts_ns) AS ts_ns, coalesce(e.gpu_ms, r.gpu_ms) AS gpu_ms,
       coalesce(e.comm_ms, r.comm_ms) AS comm_ms, coalesce(e.sync_ms, r.sync_ms) AS sync_ms,
       coalesce(e.batch_size, r.batch_size) AS batch_size, coalesce(e.requests, a.requests, 0) AS requests,
       -- a sequence has no step while its prompt is computed in parts, and its first with the last of them
       greatest(coalesce(e.batch_size, r.batch_size) - coalesce(e.requests, a.requests, 0), 0)
       + coalesce(e.first_steps, a.first_steps, 0) AS prompts,
       coalesce(e.queue_ms, a.queue_ms) AS queue_ms, coalesce(e.queue_p95_ms, r.queue_p95_ms) AS queue_p95_ms,
       coalesce(e.vram_free_mb, r.vram_free_mb) AS vram_free_mb,
       coalesce(e.workspace_free_mb, r.workspace_free_mb) AS workspace_free_mb,
       coalesce(e.kv_pool_total_mb, r.kv_pool_total_mb) AS kv_pool_total_mb,
       coalesce(e.isr_pinned_mb, r.isr_pinned_mb) AS isr_pinned_mb,
       coalesce(e.ckpt_pinned_mb, r.ckpt_pinned_mb) AS ckpt_pinned_mb,
       coalesce(r.dequant_cycles, e.dequant_cycles) AS dequant_cycles,
       coalesce(e.algo_id, r.algo_id) AS algo_id,
       coalesce(e.precision_path, r.precision_path) AS precision_path, coalesce(e.isolation_mode, r.isolation_mode) AS isolation_mode,
       coalesce(e.batch_fp, a.batch_fp) AS batch_fp
FROM engine AS e
FULL JOIN ranks AS r ON r.replica = e.replica AND r.iteration = e.iteration
LEFT JOIN asked AS a ON a.replica = coalesce(e.replica, r.replica) AND a.iteration = coalesce(e.iteration, r.iteration)

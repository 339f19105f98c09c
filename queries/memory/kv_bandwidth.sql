-- How long a step must take for its KV cache to be read once, against how long it took.
-- One row a replica and iteration. What one GPU reads is 2 (K and V) * tokens * layers * KV heads / tp * head_dim *
-- bytes an element, over the memory bandwidth of one GPU: the floor. tokens are the lengths of the sequences of the
-- batch that s records tell of, added up. memory_bound: the floor is at least 60 % of the measured time, the limit
-- below which Nsight Compute speaks of latency rather than bandwidth. It can't tell bytes that are read twice, nor
-- those spared by sliding windows or shared prefixes; weights are not counted: slower_than_kv learns what they take. Nor
-- can it tell a step whose comm_ms is missing while others of the rank have theirs.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: iteration BIGINT - — the engine's step counter
-- column: batch_size BIGINT sequences — in the batch
-- column: sequences BIGINT sequences — of those, how many have a known length
-- column: kv_tokens BIGINT tokens — their lengths added up
-- column: kv_mb DOUBLE MiB — KV cache that one GPU reads
-- column: floor_ms DOUBLE ms — kv_mb at full memory bandwidth
-- column: measured_ms DOUBLE ms — the slowest rank's step without its collectives; the engine's own where no rank recorded it
-- column: ratio DOUBLE ratio — measured over floor; 1 is nothing but reading KV at full bandwidth
-- column: memory_bound BOOLEAN - — whether the floor is at least 60 % of it
-- needs: s_records(replica, iteration, shape, gpu_ms)
-- fact: layers layers — transformer layers
-- fact: kv_heads heads — KV heads a layer, of the whole model
-- fact: head_dim elements — of one head
-- fact: kv_bytes bytes — of one element of the KV cache
-- fact: tp GPUs — tensor-parallel size
-- fact: hbm_gbps GB/s — memory bandwidth of one GPU
-- uses: _shared/deployment_facts, _shared/engine_iterations, _shared/kv_lengths, _shared/rank_states
WITH facts AS (
    SELECT max(value) FILTER (WHERE fact = 'layers') AS layers, max(value) FILTER (WHERE fact = 'kv_heads') AS kv_heads,
           max(value) FILTER (WHERE fact = 'head_dim') AS head_dim, max(value) FILTER (WHERE fact = 'kv_bytes') AS kv_bytes,
           max(value) FILTER (WHERE fact = 'tp') AS tp, max(value) FILTER (WHERE fact = 'hbm_gbps') AS hbm_gbps
    FROM deployment_facts
), sized AS (
    -- a rank of more GPUs than KV heads still holds a whole head; greatest() would take an unknown number for one
    SELECT k.replica, k.iteration, k.sequences, k.kv_tokens,
           2.0 * k.kv_tokens * f.layers * greatest(1, ceil(f.kv_heads / f.tp)) * f.head_dim * f.kv_bytes AS bytes, f.hbm_gbps
    FROM kv_lengths AS k, facts AS f
    WHERE f.kv_heads / f.tp IS NOT NULL
), slowest AS (
    SELECT replica, iteration, max(own_ms) AS measured_ms FROM rank_states GROUP BY replica, iteration
), timed AS (
    SELECT s.*, e.batch_size, 1000 * bytes / (hbm_gbps * 1e9) AS floor_ms,
           coalesce(r.measured_ms, e.gpu_ms - CASE WHEN count(e.comm_ms) OVER (PARTITION BY e.replica) = 0 THEN 0
                                                   ELSE e.comm_ms END) AS measured_ms
    FROM sized AS s
    JOIN engine_iterations AS e ON e.replica = s.replica AND e.iteration = s.iteration
    LEFT JOIN slowest AS r ON r.replica = s.replica AND r.iteration = s.iteration
)
SELECT replica, iteration, batch_size, sequences, kv_tokens, bytes / 1048576 AS kv_mb, floor_ms, measured_ms,
       measured_ms / floor_ms AS ratio, floor_ms >= 0.6 * measured_ms AS memory_bound
FROM timed
WHERE floor_ms > 0 AND measured_ms > 0 AND ($replica IS NULL OR replica = $replica)
ORDER BY replica, iteration

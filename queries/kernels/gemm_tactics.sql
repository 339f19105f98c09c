-- Which tactics the GEMM kernels' names tell: tile, split-K, stages, type; how often and how long they ran.
-- One row a source, process, device, phase, kernel name and, of a split-K kernel, number of slices. A kernel is split-K
-- by its name, or because the next GEMM kernel of its stream is cuBLAS's sum of the slices. Phases are those of
-- tactic_mix, of the iteration that launched the kernel (NVTX iteration ranges, else the time it began). It can't tell
-- tactics whose name says nothing (Triton's, Marlin's: their columns are NULL), the shape, nor kernels in CUDA graphs
-- that were recorded whole.
-- param: source VARCHAR path = NULL — only this source; NULL: all
-- param: first_iteration BIGINT - = NULL — pressured from this iteration on; NULL: by the regime, or open
-- param: last_iteration BIGINT - = NULL — pressured up to this iteration; NULL: by the regime, or open
-- column: source VARCHAR path — the nsys export
-- column: replica VARCHAR - — its replica; NULL: nothing tells
-- column: rank INTEGER - — its rank; NULL: nothing tells
-- column: pid BIGINT - — process
-- column: device BIGINT - — CUDA ordinal within the process
-- column: phase VARCHAR - — calm or pressured; NULL: no iteration known, or nothing tells its regime
-- column: kernel_name VARCHAR - — name with template arguments
-- column: tile_m BIGINT elements — rows of the tile that a block computes
-- column: tile_n BIGINT elements — its columns
-- column: tile_k BIGINT elements — how far it goes along K at once
-- column: stages BIGINT - — stages of its pipeline
-- column: dtype VARCHAR - — type of its inputs: fp64, fp32, tf32, bf16, fp16, fp8, int8
-- column: split_k BOOLEAN - — whether parts of K are summed in several blocks and then added up
-- column: slices BIGINT - — blocks along z of a split-K kernel: its parts of K, times the products of a batched one
-- column: kernels BIGINT kernels — how often it ran
-- column: iterations BIGINT iterations — in how many; 0: none known
-- column: total_ns BIGINT ns — all runs together
-- column: share DOUBLE share — of the GEMM kernels of this process, device and phase
-- column: time_share DOUBLE share — of their time
-- needs: kernels(demangled_name, start_ns, end_ns, grid_z, stream_id)
-- uses: _shared/gemm_names, _shared/placed_work, _shared/iteration_phases, _shared/phase_within
WITH gemms AS (
    SELECT k.source_id, k.global_pid, k.device_id, k.correlation_id, k.end_ns - k.start_ns AS ns, n.*, k.grid_z,
           n.split_k OR coalesce(lead(n.reduces) OVER stream, false) AS split
    FROM kernels AS k
    JOIN gemm_names AS n ON n.name = k.demangled_name
    WHERE $source::VARCHAR IS NULL OR k.source_id IN (SELECT source_id FROM sources WHERE path = $source)
    WINDOW stream AS (PARTITION BY k.source_id, k.global_pid, k.device_id, k.context_id, k.stream_id
                      ORDER BY k.start_ns, k.end_ns)
), placed AS (
    -- the kernels of a CUDA graph share their launch
    SELECT source_id, global_pid, correlation_id, any_value(replica) AS replica, min(iteration) AS iteration
    FROM placed_work
    WHERE work = 'kernel'
    GROUP BY source_id, global_pid, correlation_id
), told AS (
    SELECT g.*, CASE WHEN g.split AND NOT g.reduces THEN g.grid_z END AS slices, p.iteration,
           phase_within(p.iteration, i.phase, $first_iteration, $last_iteration) AS phase
    FROM gemms AS g
    LEFT JOIN placed AS p ON p.source_id = g.source_id AND p.global_pid = g.global_pid AND p.correlation_id = g.correlation_id
    LEFT JOIN iteration_phases AS i ON i.replica = p.replica AND i.iteration = p.iteration
)
SELECT s.path AS source, s.replica, s.rank, (t.global_pid >> 24) & 16777215 AS pid, t.device_id AS device, t.phase,
       t.name AS kernel_name, t.tile_m, t.tile_n, t.tile_k, t.stages, t.dtype, t.split AS split_k, t.slices,
       count(*) AS kernels,
       count(DISTINCT t.iteration) AS iterations, CAST(sum(t.ns) AS BIGINT) AS total_ns,
       count(*) / sum(count(*)) OVER own AS share, coalesce(sum(t.ns) / nullif(sum(sum(t.ns)) OVER own, 0), 0) AS time_share
FROM told AS t
JOIN sources AS s USING (source_id)
GROUP BY t.source_id, s.path, s.replica, s.rank, t.global_pid, t.device_id, t.phase, t.name, t.tile_m, t.tile_n, t.tile_k,
         t.stages, t.dtype, t.split, t.slices
WINDOW own AS (PARTITION BY t.source_id, t.global_pid, t.device_id, t.phase)
ORDER BY s.replica, s.rank, source, pid, device, t.phase, total_ns DESC, kernel_name, slices

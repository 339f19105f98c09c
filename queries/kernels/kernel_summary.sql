-- Where the GPU's kernel time went, by kernel name.
-- One row a demangled name, over all devices, as NVIDIA's cuda_gpu_kern_sum (2023.4) counts them.
-- It can't tell of kernels inside CUDA graphs recorded at graph granularity (see the notes), nor of waits:
-- a collective's kernel lasts from its rank's arrival to the end, so its time is wait and transfer together.
-- param: source VARCHAR path = NULL — only this source; NULL: all together
-- column: kernel_name VARCHAR - — name with template arguments
-- column: instances BIGINT count — how often it ran
-- column: total_ns BIGINT ns — time of all runs together
-- column: avg_ns DOUBLE ns — mean
-- column: median_ns DOUBLE ns — median, mean of the middle two
-- column: min_ns BIGINT ns — shortest
-- column: max_ns BIGINT ns — longest
-- column: stddev_ns DOUBLE ns — sample deviation; 0 of one run
-- column: time_pct DOUBLE % — share of all kernel time
-- needs: kernels(demangled_name, start_ns, end_ns)
WITH lasted AS (
    SELECT demangled_name AS kernel_name, end_ns - start_ns AS ns
    FROM kernels
    WHERE $source::VARCHAR IS NULL OR source_id IN (SELECT source_id FROM sources WHERE path = $source)
)
SELECT
    kernel_name,
    count(*) AS instances,
    sum(ns)::BIGINT AS total_ns,
    avg(ns) AS avg_ns,
    median(ns)::DOUBLE AS median_ns,
    min(ns) AS min_ns,
    max(ns) AS max_ns,
    coalesce(stddev_samp(ns), 0) AS stddev_ns,
    coalesce(100 * sum(ns)::DOUBLE / nullif(sum(sum(ns)) OVER (), 0)::DOUBLE, 0) AS time_pct
FROM lasted
GROUP BY kernel_name
ORDER BY total_ns DESC, kernel_name

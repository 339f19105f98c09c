-- What the recording says of itself: settings of bundle.toml and of NCCL, versions of tools and drivers, GPUs.
-- One row a name and value. A name that has several values has several rows: sources then differ.
-- It can't tell settings that nobody recorded; captured environments are only there where the bundle was read so.
-- column: origin VARCHAR - — bundle.toml, NCCL, Nsight Systems, GPU, or the reader of the file
-- column: name VARCHAR - — setting, version or fact
-- column: value VARCHAR - — as recorded
-- column: sources BIGINT files — that say so; 0: the bundle itself
-- needs: sources(path)
WITH told AS (
    -- kept views' and the store's own marks are no settings of the recording
    SELECT 'bundle.toml' AS origin, key AS name, value ->> '$' AS value, NULL AS source_id
    FROM bundle
    WHERE split_part(key, '.', 1) NOT IN ('derived', 'store')
    UNION ALL
    SELECT kind, 'version', version, source_id FROM sources
    UNION ALL
    SELECT 'NCCL', name, value, source_id FROM nccl_settings
    UNION ALL
    SELECT origin, name, value, source_id FROM (UNPIVOT (
        SELECT 'Nsight Systems' AS origin, schema_version, graph_trace, driver_version,
               CAST(cuda_version AS VARCHAR) AS cuda_version, os, source_id
        FROM nsys_sessions
    ) ON schema_version, graph_trace, driver_version, cuda_version, os INTO NAME name VALUE value)
    UNION ALL
    SELECT origin, name, value, source_id FROM (UNPIVOT (
        SELECT 'GPU' AS origin, name AS model, CAST(sm_count AS VARCHAR) AS multiprocessors,
               CAST(clock_hz AS VARCHAR) AS clock_hz, CAST(l2_bytes AS VARCHAR) AS l2_bytes,
               CAST(memory_bytes AS VARCHAR) AS memory_bytes, source_id
        FROM gpus
    ) ON model, multiprocessors, clock_hz, l2_bytes, memory_bytes INTO NAME name VALUE value)
)
SELECT origin, name, value, count(DISTINCT source_id) AS sources
FROM told
WHERE value IS NOT NULL
GROUP BY origin, name, value
ORDER BY origin, name, value

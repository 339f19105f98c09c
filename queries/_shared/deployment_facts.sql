-- One row a fact about the deployment that is a number, and what told it: bundle.toml's [deployment]; else the shapes
-- of s records (tp: the most frequent), the GPUs of the nsys exports (hbm_gbps, l2_mb: the smallest of any).
CREATE VIEW deployment_facts AS
WITH told AS (
    SELECT replace(key, 'deployment.', '') AS fact, TRY_CAST(value AS DOUBLE) AS value, 'bundle.toml' AS told_by, 1 AS choice
    FROM bundle
    WHERE starts_with(key, 'deployment.')
    UNION ALL
    SELECT 'tp', mode(CAST(tp AS DOUBLE) ORDER BY tp), 'shapes of s records', 2
    FROM (SELECT TRY_CAST(nullif(regexp_extract(shape, '(?:^|,)tp=(\d+)', 1), '') AS BIGINT) AS tp FROM s_records WHERE shape IS NOT NULL)
    UNION ALL
    SELECT 'hbm_gbps', min(memory_bandwidth) / 1e9, 'nsys', 2 FROM gpus WHERE memory_bandwidth > 0
    UNION ALL
    SELECT 'l2_mb', min(l2_bytes) / 1048576.0, 'nsys', 2 FROM gpus WHERE l2_bytes > 0
)
SELECT fact, value, told_by
FROM told
WHERE value > 0
QUALIFY row_number() OVER (PARTITION BY fact ORDER BY choice) = 1

-- Why a kernel's warps waited: each reason's share of all stalls that were measured.
-- One row a profiled launch and reason. Where a launch was measured in several ways (families of metrics), the
-- one with most reasons is taken, so that nothing counts twice. A warp that was selected was not stalled: its
-- row has no share. Shares are of the reasons present, so they add up to 1 even where some were not measured.
-- It can't tell of the incident itself: Nsight Compute replays kernels, in a run of its own.
-- param: source VARCHAR path = NULL — only this source; NULL: all
-- column: source VARCHAR path — the Nsight Compute file
-- column: kernel_id BIGINT - — number of the launch in it
-- column: kernel_name VARCHAR - — kernel
-- column: reason VARCHAR - — long_scoreboard, barrier, ...; selected
-- column: stalled BOOLEAN - — false: not a stall
-- column: value DOUBLE - — as measured, in the unit of its family
-- column: share DOUBLE - — of all stall reasons present, 0 to 1; NULL where not stalled
-- column: family VARCHAR - — the metrics it was taken from, * for the reason
-- needs: ncu_metrics(kernel_id, kind, reason, family, value)
-- needs: ncu_kernels(kernel_id, kernel_name)
WITH measured AS (
    SELECT source_id, kernel_id, family, reason, kind = 'stall' AS stalled, sum(value) AS value
    FROM ncu_metrics
    WHERE kind IN ('stall', 'not_stalled') AND value IS NOT NULL
    GROUP BY ALL
),
families AS (
    SELECT source_id, kernel_id, family,
           row_number() OVER (PARTITION BY source_id, kernel_id ORDER BY count(*) DESC, family) AS place
    FROM measured
    WHERE stalled
    GROUP BY source_id, kernel_id, family
)
SELECT
    s.path AS source,
    m.kernel_id,
    k.kernel_name,
    m.reason,
    m.stalled,
    m.value,
    CASE WHEN m.stalled THEN
        m.value / nullif(sum(m.value) FILTER (m.stalled) OVER (PARTITION BY m.source_id, m.kernel_id), 0)
    END AS share,
    m.family
FROM measured m
JOIN families f ON f.source_id = m.source_id AND f.kernel_id = m.kernel_id AND f.family = m.family AND f.place = 1
JOIN ncu_kernels k ON k.source_id = m.source_id AND k.kernel_id = m.kernel_id
LEFT JOIN sources s ON s.source_id = m.source_id
WHERE $source::VARCHAR IS NULL OR s.path = $source
ORDER BY source, m.kernel_id, m.stalled DESC, m.value DESC, m.reason

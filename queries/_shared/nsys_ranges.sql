-- One row an NVTX range, named as NVIDIA's reports do: its domain's name before it where that is known.
-- A range without an end lasts until the last NVTX time of its source.
CREATE VIEW nsys_ranges AS
WITH ends AS (
    SELECT source_id, max(coalesce(end_ns, start_ns)) AS last_ns
    FROM nvtx_events
    GROUP BY source_id
)
SELECT
    e.source_id,
    e.event_id,
    e.global_tid,
    e.end_global_tid,
    e.style,
    coalesce(e.domain || ':', '') || e.text AS range_name,
    e.start_ns,
    coalesce(e.end_ns, ends.last_ns) AS end_ns
FROM nvtx_events e
JOIN ends USING (source_id)
WHERE e.style <> 'Mark'

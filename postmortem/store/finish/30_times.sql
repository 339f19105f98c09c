-- First and last time of each source of records, on the bundle's clock.
UPDATE sources SET first_ns = t.first_ns, last_ns = t.last_ns
FROM (
    SELECT source_id, min(ns) AS first_ns, max(ns) AS last_ns
    FROM (SELECT source_id, ts_ns AS ns FROM s_records UNION ALL SELECT source_id, admitted_ns FROM x_records)
    WHERE ns IS NOT NULL
    GROUP BY source_id
) AS t
WHERE sources.source_id = t.source_id;

-- One row a stretch of a source's clock, the first from the beginning of time: for ASOF joins.
CREATE VIEW clock_segments AS
SELECT source_id,
       CASE WHEN row_number() OVER (PARTITION BY source_id ORDER BY from_ns) = 1
            THEN CAST('-9223372036854775808' AS BIGINT) ELSE from_ns END AS from_ns,
       at_ns, offset_ns, coalesce(drift_ppm, 0.0) / 1e6 AS drift, uncertainty_ns
FROM clock_fits

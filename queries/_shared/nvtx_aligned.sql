-- uses: _shared/nvtx_utc, _shared/clock_segments
-- One row an NVTX range or mark that says what the server did, on the aligned clock (own_: by its source's own). unsure_ns
-- is how sure that clock is; NULL where nothing tells.
CREATE VIEW nvtx_aligned AS
SELECT n.* REPLACE (n.start_ns + coalesce(f.offset_ns + CAST(round(f.drift * (n.start_ns - f.at_ns)) AS BIGINT), 0) AS start_ns,
                    n.end_ns + coalesce(f.offset_ns + CAST(round(f.drift * (n.end_ns - f.at_ns)) AS BIGINT), 0) AS end_ns),
       n.start_ns AS own_start_ns, n.end_ns AS own_end_ns, f.uncertainty_ns AS unsure_ns
FROM nvtx_utc AS n
ASOF LEFT JOIN clock_segments AS f ON f.source_id = n.source_id AND n.start_ns >= f.from_ns

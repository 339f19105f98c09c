-- One row an NVTX range or mark that says what the server did, on the bundle's clock (not yet aligned
-- between sources: see clock_fit). A range that was never popped has no end.
CREATE VIEW nvtx_utc AS
SELECT e.source_id, s.path AS source, s.replica, s.rank, e.global_tid, e.kind, e.keys,
       e.start_ns + c.origin_ns + c.offset_ns AS start_ns,
       CASE WHEN NOT coalesce(e.never_popped, false) THEN e.end_ns + c.origin_ns + c.offset_ns END AS end_ns,
       e.start_ns AS session_start_ns
FROM nvtx_events AS e
JOIN sources AS s USING (source_id)
JOIN clocks AS c USING (source_id)
WHERE e.kind IS NOT NULL AND c.origin_ns IS NOT NULL

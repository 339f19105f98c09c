-- uses: _shared/clock_segments
-- One row a rank whose s records' clock is fitted: how sure it is. rank NULL: of the engine's own records.
CREATE VIEW record_clocks AS
SELECT s.replica, s.rank, max(f.uncertainty_ns) AS unsure_ns
FROM clock_segments AS f
JOIN (SELECT DISTINCT source_id, replica, rank FROM s_records) AS s USING (source_id)
GROUP BY s.replica, s.rank

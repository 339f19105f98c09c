-- Each source's clock against the bundle's: offset, uncertainty, and how it is known.
-- One row a source. offset_ns is what aligning added to its times, beyond the session's start time.
-- uncertainty_ns is NULL where nothing in the bundle coincides with it: then "before" is undecided
-- between it and the others. Drift is not fitted yet and NULL.
-- column: source VARCHAR - — path in the bundle
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: offset_ns BIGINT ns — added to its times
-- column: drift_ppm DOUBLE ppm — drift
-- column: uncertainty_ns BIGINT ns — 95 % of the ends of shared collectives lie within it; of fewer than five, all
-- column: method VARCHAR - — how it is known
-- needs: clocks(source_id)
-- uses: _shared/clock_fit
SELECT s.path AS source, s.replica, s.rank, c.offset_ns + coalesce(f.offset_ns, 0) AS offset_ns,
       CAST(NULL AS DOUBLE) AS drift_ppm,
       -- fewer than five events show no spread of their own
       CASE WHEN f.events < 5 THEN greatest(f.uncertainty_ns, f.stay_ns) ELSE f.uncertainty_ns END AS uncertainty_ns,
       c.method || CASE WHEN f.events IS NOT NULL
                        THEN ', then the common end of ' || f.events || ' collectives' ELSE '' END AS method
FROM clocks AS c
JOIN sources AS s USING (source_id)
LEFT JOIN clock_fit AS f USING (source_id)
ORDER BY s.path

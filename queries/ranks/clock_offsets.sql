-- Each source's clock against the bundle's: offset, uncertainty, and how it is known.
-- One row a source, and one more for every time that its clock stepped. offset_ns is what aligning adds to its
-- times, beyond the session's start time. uncertainty_ns is NULL where nothing in the bundle coincides with it:
-- then "before" is undecided between it and the others.
-- column: source VARCHAR - — path in the bundle
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: offset_ns BIGINT ns — added to its times, in the middle of the stretch
-- column: drift_ppm DOUBLE ppm — what is added beyond, over time; NULL where its 95 % interval holds zero
-- column: uncertainty_ns BIGINT ns — 95 % of shared moments lie within it; of fewer than five, all
-- column: method VARCHAR - — how it is known
-- column: from_ns BIGINT ns — since when it holds, UTC epoch by the source's own clock; NULL: from the beginning
-- column: stepped_ns BIGINT ns — by how much what is added jumped then; NULL: it did not
-- needs: clocks(source_id)
SELECT s.path AS source, s.replica, s.rank, c.offset_ns + coalesce(f.offset_ns, 0) AS offset_ns, f.drift_ppm,
       f.uncertainty_ns,
       CASE WHEN f.events IS NOT NULL THEN c.method || ', then ' || f.shared
            WHEN c.origin_ns IS NOT NULL THEN c.method || '; nothing that other sources have coincides with it'
            ELSE c.method END AS method,
       CASE WHEN f.stepped_ns <> 0 THEN f.from_ns END AS from_ns, nullif(f.stepped_ns, 0) AS stepped_ns
FROM clocks AS c
JOIN sources AS s USING (source_id)
LEFT JOIN clock_fits AS f USING (source_id)
ORDER BY s.path, f.from_ns

-- uses: _shared/iteration_ranges
-- One row a stretch of a home (see iteration_ranges) and the iteration that it belongs to, on the export's own clock: of
-- ranges that hold a moment that which began last, of two that began at once the shorter. A stretch ends where the next
-- begins, or its range ends: end_ns is the range's. Ranges without an end are left out.
CREATE VIEW iteration_stretches AS
WITH laps AS (
    SELECT source_id, replica, rank, home, iteration, session_start_ns AS start_ns,
           end_ns - start_ns + session_start_ns AS end_ns
    FROM iteration_ranges
    WHERE end_ns IS NOT NULL
), reached AS (
    SELECT *, max(end_ns) OVER (PARTITION BY source_id, home ORDER BY start_ns, end_ns DESC, iteration
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach_ns
    FROM laps
), islands AS (
    -- no range of one reaches into the next: only within an island is looked for what holds on
    SELECT *, count(CASE WHEN start_ns >= reach_ns THEN 1 END) OVER (PARTITION BY source_id, home
                                                                     ORDER BY start_ns, end_ns DESC, iteration) AS island
    FROM reached
), resumed AS (
    SELECT l.*, e.end_ns AS from_ns
    FROM islands AS e
    JOIN islands AS l ON l.source_id = e.source_id AND l.home = e.home AND l.island = e.island
                         AND l.start_ns <= e.end_ns AND l.end_ns > e.end_ns
    WHERE e.reach_ns > e.end_ns
    QUALIFY row_number() OVER (PARTITION BY e.source_id, e.home, e.end_ns ORDER BY l.start_ns DESC, l.end_ns, l.iteration) = 1
)
SELECT source_id, replica, rank, home, iteration, from_ns, end_ns
FROM (SELECT *, start_ns AS from_ns FROM islands UNION ALL FROM resumed)
QUALIFY row_number() OVER (PARTITION BY source_id, home, from_ns
                           ORDER BY end_ns > from_ns DESC, start_ns DESC, end_ns, iteration) = 1

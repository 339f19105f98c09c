-- uses: _shared/pin_windows, _shared/rank_states
-- One row a rank and iteration, with the window of overlapping pins that it ran in (window_ns is its start; NULL: in
-- none). An iteration belongs to the last window that held when it began or that began while it ran.
CREATE VIEW pinned_states AS
WITH states AS (
    SELECT *, coalesce(lead(ts_ns) OVER (PARTITION BY replica, rank ORDER BY iteration),
                       CAST(ts_ns + coalesce(gpu_ms, 0) * 1e6 AS BIGINT)) AS next_ns,
           coalesce(rank, -1) AS place
    FROM rank_states
    WHERE ts_ns IS NOT NULL
), windows AS (
    SELECT *, coalesce(rank, -1) AS place FROM pin_windows
)
SELECT s.* EXCLUDE (place), CASE WHEN w.end_ns > s.ts_ns THEN w.start_ns END AS window_ns
FROM states AS s
ASOF LEFT JOIN windows AS w ON w.replica = s.replica AND w.place = s.place AND w.start_ns < s.next_ns

-- uses: _shared/pin_windows, _shared/rank_states, _shared/record_clocks, _shared/is_before
-- One row a rank and iteration, with the window of overlapping pins that it ran in (window_ns is its start; NULL: in
-- none). An iteration belongs to the last window that held when it began or that began while it ran. Where a window
-- comes from NVTX ranges and both clocks are fitted, iterations closer to its ends than these are sure are left out.
CREATE VIEW pinned_states AS
WITH states AS (
    SELECT r.*, coalesce(lead(ts_ns) OVER (PARTITION BY r.replica, r.rank ORDER BY iteration),
                         CAST(ts_ns + coalesce(gpu_ms, 0) * 1e6 AS BIGINT)) AS next_ns,
           coalesce(r.rank, -1) AS place
    FROM rank_states AS r
    WHERE ts_ns IS NOT NULL
), windows AS (
    SELECT w.replica, coalesce(w.rank, -1) AS place, source, start_ns, end_ns, w.unsure_ns + c.unsure_ns AS joint_ns
    FROM pin_windows AS w
    LEFT JOIN record_clocks AS c ON c.replica = w.replica AND c.rank IS NOT DISTINCT FROM w.rank
), joined AS (
    SELECT s.* EXCLUDE (place), n.start_ns, n.end_ns, n.joint_ns, CASE WHEN r.end_ns > s.ts_ns THEN r.start_ns END AS told_ns
    FROM states AS s
    ASOF LEFT JOIN (FROM windows WHERE source = 'NVTX ranges') AS n
        ON n.replica = s.replica AND n.place = s.place AND n.start_ns - coalesce(n.joint_ns, 0) < s.next_ns
    ASOF LEFT JOIN (FROM windows WHERE source = 's records') AS r
        ON r.replica = s.replica AND r.place = s.place AND r.start_ns < s.next_ns
), judged AS (
    SELECT *, CASE WHEN joint_ns IS NULL THEN coalesce(end_ns > ts_ns, false)
                   WHEN is_before(end_ns, ts_ns, joint_ns) THEN false
                   ELSE is_before(start_ns, next_ns, joint_ns) AND is_before(ts_ns, end_ns, joint_ns) END AS held
    FROM joined
)
SELECT * EXCLUDE (start_ns, end_ns, joint_ns, told_ns, held), coalesce(told_ns, CASE WHEN held THEN start_ns END) AS window_ns
FROM judged
WHERE held IS NOT NULL OR told_ns IS NOT NULL

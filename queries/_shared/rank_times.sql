-- uses: _shared/nvtx_utc, _shared/collective_arrivals, _shared/clock_fit, _shared/rank_states
-- One row a replica, rank and iteration: how its time was spent, ns. From NVTX ranges (iteration and
-- collective) where that rank's export has both, else from the comm_ms and sync_ms of its s records.
-- compute = the iteration − its collectives; comm = transfer in collectives; sync = waiting in them.
CREATE VIEW rank_times AS
WITH laps AS (
    SELECT source_id, replica, rank, TRY_CAST(keys->>'$.n' AS BIGINT) AS iteration, start_ns, end_ns
    FROM nvtx_utc
    WHERE kind = 'iteration' AND end_ns IS NOT NULL AND rank IS NOT NULL
), fit AS (
    SELECT l.source_id, coalesce(f.offset_ns, 0) AS offset_ns
    FROM (SELECT DISTINCT source_id FROM laps) AS l
    LEFT JOIN clock_fit AS f USING (source_id)
), aligned AS (
    SELECT l.source_id, l.replica, l.rank, l.iteration, l.start_ns + f.offset_ns AS start_ns, l.end_ns + f.offset_ns AS end_ns
    FROM laps AS l
    JOIN fit AS f USING (source_id)
    WHERE l.iteration IS NOT NULL
), inside AS (
    SELECT l.source_id, l.iteration, sum(a.duration_ns) AS duration_ns, sum(a.wait_ns) AS wait_ns
    FROM collective_arrivals AS a
    ASOF JOIN aligned AS l ON a.source_id = l.source_id AND a.arrival_ns >= l.start_ns
    WHERE a.leave_ns <= l.end_ns AND a.ranks > 1
    GROUP BY l.source_id, l.iteration
), traced AS (
    SELECT l.replica, l.rank, l.iteration, l.start_ns, l.end_ns,
           CAST(i.duration_ns - i.wait_ns AS BIGINT) AS comm_ns, CAST(i.wait_ns AS BIGINT) AS sync_ns,
           'NVTX ranges' AS source
    FROM aligned AS l
    JOIN inside AS i ON i.source_id = l.source_id AND i.iteration = l.iteration
), told AS (
    SELECT replica, rank, iteration, ts_ns AS start_ns, CAST(ts_ns + round(gpu_ms * 1e6) AS BIGINT) AS end_ns,
           CAST(round((coalesce(comm_ms, 0) - coalesce(sync_ms, 0)) * 1e6) AS BIGINT) AS comm_ns,
           CAST(round(coalesce(sync_ms, 0) * 1e6) AS BIGINT) AS sync_ns, 's records' AS source
    FROM rank_states
    WHERE rank IS NOT NULL AND ts_ns IS NOT NULL AND gpu_ms IS NOT NULL
)
SELECT * FROM traced
UNION ALL BY NAME
SELECT * FROM told
ANTI JOIN (SELECT DISTINCT replica, rank FROM traced) AS t ON t.replica = told.replica AND t.rank = told.rank

-- How long each rank's GPU stood idle within an iteration, and whether the host was too late to launch.
-- One row a replica, rank and iteration whose GPU work was launched in an NVTX iteration range. A gap is time between
-- pieces of work of all streams together. It is the host's where the call that launched what came next had not returned
-- when the GPU ran dry: the launch came too late, whatever kept it. Else the work was queued and waited on the GPU (for
-- an event, another stream's work, the launch itself). A CUDA graph that was recorded whole is one piece of work, as long
-- as it ran: it can't tell gaps inside, nor between iterations.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: gaps BIGINT gaps — between the first piece of work and the last
-- column: gap_ns BIGINT ns — of all gaps: the iteration's idle time
-- column: longest_ns BIGINT ns — the longest gap; 0 without one
-- column: host_gaps BIGINT gaps — in which the host was late
-- column: host_gap_ns BIGINT ns — of those
-- column: overhead_gap_ns BIGINT ns — of the gaps during which the profiler itself held up a thread: not the server's own
-- column: host_bound BOOLEAN - — more than half of the idle time is the host's; NULL: it was never idle
-- needs: kernels(start_ns, end_ns, correlation_id)
-- needs: cuda_api(start_ns, end_ns, correlation_id)
-- needs: nvtx_events(kind, keys)
-- uses: _shared/lap_work, _shared/clock_segments
WITH ordered AS (
    SELECT *, max(end_ns) OVER (PARTITION BY source_id, iteration ORDER BY start_ns, called_ns
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS dry_ns
    FROM lap_work
    WHERE ($replica IS NULL OR replica = $replica) AND ($rank IS NULL OR rank = $rank)
), overhead AS (
    SELECT o.source_id, o.start_ns + c.origin_ns + c.offset_ns AS own_ns, o.end_ns - o.start_ns AS duration_ns
    FROM profiler_overhead AS o
    JOIN clocks AS c USING (source_id)
), held AS (
    -- until when any thread was held up by what began so far
    SELECT source_id, start_ns, max(start_ns + duration_ns) OVER (PARTITION BY source_id ORDER BY start_ns) AS held_ns
    FROM (SELECT o.source_id, o.duration_ns,
                 own_ns + coalesce(f.offset_ns + CAST(round(f.drift * (own_ns - f.at_ns)) AS BIGINT), 0) AS start_ns
          FROM overhead AS o
          ASOF LEFT JOIN clock_segments AS f ON f.source_id = o.source_id AND o.own_ns >= f.from_ns)
), judged AS (
    SELECT g.*, CASE WHEN g.start_ns > g.dry_ns THEN g.start_ns - g.dry_ns ELSE 0 END AS gap_ns,
           g.called_ns > g.dry_ns AS late, coalesce(h.held_ns > g.dry_ns, false) AS held_up
    FROM ordered AS g
    ASOF LEFT JOIN held AS h ON h.source_id = g.source_id AND g.start_ns > h.start_ns
)
SELECT replica, rank, iteration, count(*) FILTER (WHERE gap_ns > 0) AS gaps, CAST(sum(gap_ns) AS BIGINT) AS gap_ns,
       max(gap_ns) AS longest_ns, count(*) FILTER (WHERE gap_ns > 0 AND late) AS host_gaps,
       CAST(coalesce(sum(gap_ns) FILTER (WHERE late), 0) AS BIGINT) AS host_gap_ns,
       CAST(coalesce(sum(gap_ns) FILTER (WHERE held_up), 0) AS BIGINT) AS overhead_gap_ns,
       CASE WHEN sum(gap_ns) > 0 THEN 2 * coalesce(sum(gap_ns) FILTER (WHERE late), 0) > sum(gap_ns) END AS host_bound
FROM judged
GROUP BY replica, rank, iteration
ORDER BY replica, iteration, rank

-- Which GPU work each NVTX range set off, and when it ran.
-- One row a range that launched GPU work, as NVIDIA's nvtx_gpu_proj_trace (2023.4): the runtime calls wholly
-- inside the range on its own thread own kernels, copies and fillings; they project it from the first start to
-- the last end. It is a span, with its idle gaps, not busy time; a range that ended on another thread has no row.
-- It can't tell of work launched inside CUDA graphs, nor of calls outside the recording.
-- Near-linear: the calls of a thread stand in order of both start and end, so a range holds a run of them, whose
-- extremes come from a tree of halves. Calls inside other calls that also launched work are matched one by one.
-- param: source VARCHAR path = NULL — only this source; NULL: all
-- column: range_name VARCHAR - — domain and text
-- column: style VARCHAR - — PushPop or StartEnd
-- column: start_ns BIGINT ns — start of the range on the host, since session start
-- column: duration_ns BIGINT ns — its length on the host
-- column: projected_start_ns BIGINT ns — start of its first GPU work, since session start
-- column: projected_duration_ns BIGINT ns — from there to the end of its last GPU work
-- column: gpu_ops BIGINT count — kernels, copies and fillings
-- column: pid BIGINT - — process
-- column: tid BIGINT - — thread
-- needs: nvtx_events(start_ns, end_ns, style, domain, text, global_tid)
-- needs: cuda_api(start_ns, end_ns, correlation_id, global_tid)
-- needs: kernels(start_ns, end_ns, correlation_id, global_pid)
-- uses: _shared/nsys_ranges, _shared/nsys_gpu_work
WITH RECURSIVE ranges AS (
    SELECT *
    FROM nsys_ranges
    WHERE end_global_tid IS NOT DISTINCT FROM global_tid
        AND ($source::VARCHAR IS NULL OR source_id IN (SELECT source_id FROM sources WHERE path = $source))
),
-- one row a launching call, with the span of its work
calls AS (
    SELECT
        a.source_id, a.global_tid, a.start_ns, a.end_ns,
        min(w.start_ns) AS first_ns, max(w.end_ns) AS last_ns, count(*) AS ops
    FROM cuda_api a
    JOIN nsys_gpu_work w
        ON w.source_id = a.source_id
        AND w.correlation_id = a.correlation_id
        AND w.global_pid = a.global_tid - (a.global_tid & 16777215)
    WHERE $source::VARCHAR IS NULL OR a.source_id IN (SELECT source_id FROM sources WHERE path = $source)
    GROUP BY a.source_id, a.global_tid, a.start_ns, a.end_ns
),
-- in order; reach: the latest end so far. A call that ends before it lies inside another one
numbered AS MATERIALIZED (
    SELECT *, row_number() OVER calls_in_order - 1 AS i, max(end_ns) OVER calls_in_order AS reach
    FROM calls
    WINDOW calls_in_order AS (PARTITION BY source_id, global_tid ORDER BY start_ns, end_ns ROWS UNBOUNDED PRECEDING)
),
-- the tree: node n of level k spans the calls [n * 2^k, (n + 1) * 2^k) but those inside others
nodes AS (
    SELECT
        source_id, global_tid, 0 AS k, i AS node,
        CASE WHEN end_ns >= reach THEN first_ns END AS first_ns,
        CASE WHEN end_ns >= reach THEN last_ns END AS last_ns,
        CASE WHEN end_ns >= reach THEN ops END AS ops
    FROM numbered
    UNION ALL
    SELECT source_id, global_tid, k + 1, node >> 1, min(first_ns), max(last_ns), sum(ops)::BIGINT
    FROM nodes
    WHERE k < (SELECT ceil(log2(max(i) + 1)) FROM numbered)
    GROUP BY source_id, global_tid, k, node >> 1
),
by_start AS (
    SELECT source_id, global_tid, start_ns, max(i) + 1 AS upto FROM numbered GROUP BY ALL
),
by_end AS (
    SELECT source_id, global_tid, reach, max(i) + 1 AS upto FROM numbered GROUP BY ALL
),
-- each range holds the calls [lo, hi): those that do not start before it, and end by its end
runs AS (
    SELECT r.source_id, r.event_id, r.global_tid, coalesce(s.upto, 0) AS lo, coalesce(e.upto, 0) AS hi
    FROM ranges r
    ASOF LEFT JOIN by_start s
        ON s.source_id = r.source_id AND s.global_tid = r.global_tid AND r.start_ns > s.start_ns
    ASOF LEFT JOIN by_end e
        ON e.source_id = r.source_id AND e.global_tid = r.global_tid AND r.end_ns >= e.reach
),
levels AS (
    SELECT *, unnest(range(0, floor(log2(hi - lo))::BIGINT + 1)) AS k
    FROM runs
    WHERE lo < hi
),
ends AS (
    SELECT *, (lo + (1::BIGINT << k) - 1) >> k AS l, hi >> k AS r
    FROM levels
),
pieces AS (
    SELECT source_id, event_id, global_tid, k, l AS node FROM ends WHERE l < r AND l & 1 = 1
    UNION ALL
    SELECT source_id, event_id, global_tid, k, r - 1 FROM ends WHERE l < r AND r & 1 = 1
),
held AS (
    SELECT p.source_id, p.event_id, n.first_ns, n.last_ns, n.ops
    FROM pieces p
    JOIN nodes n USING (source_id, global_tid, k, node)
    UNION ALL
    SELECT r.source_id, r.event_id, c.first_ns, c.last_ns, c.ops
    FROM numbered c
    JOIN ranges r USING (source_id, global_tid)
    WHERE c.end_ns < c.reach AND c.start_ns >= r.start_ns AND c.end_ns <= r.end_ns
),
projected AS (
    SELECT source_id, event_id, min(first_ns) AS first_ns, max(last_ns) AS last_ns, sum(ops)::BIGINT AS ops
    FROM held
    GROUP BY source_id, event_id
)
SELECT
    r.range_name,
    r.style,
    r.start_ns,
    r.end_ns - r.start_ns AS duration_ns,
    p.first_ns AS projected_start_ns,
    p.last_ns - p.first_ns AS projected_duration_ns,
    p.ops AS gpu_ops,
    (r.global_tid >> 24) & 16777215 AS pid,
    r.global_tid & 16777215 AS tid
FROM projected p
JOIN ranges r USING (source_id, event_id)
ORDER BY projected_start_ns, r.start_ns, duration_ns DESC, pid, tid, range_name, r.event_id

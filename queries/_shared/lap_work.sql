-- uses: _shared/iteration_stretches, _shared/lap_homes, _shared/clock_segments, _shared/nsys_gpu_work
-- One row a piece of GPU work (kernel, copy, filling of memory, CUDA graph that was recorded whole) that was launched
-- within an NVTX iteration range of its rank and thread, else process (see iteration_stretches), on the aligned clock, with
-- its launching call. The range is the host's: work belongs to the iteration in which its launch began, whenever it ran.
-- What a whole graph ran, its collectives too, is not recorded: it is work 'graph', and its name says no more.
CREATE VIEW lap_work AS
WITH pieces AS (
    SELECT source_id, global_pid, correlation_id, start_ns, end_ns, work, name FROM nsys_gpu_work
    UNION ALL
    SELECT source_id, global_pid, correlation_id, start_ns, end_ns, 'graph', 'CUDA graph' FROM graph_launches
), launched AS (
    SELECT k.source_id, k.global_pid, k.correlation_id, k.start_ns, k.end_ns, k.work, k.name, a.start_ns AS call_ns,
           a.end_ns AS called_ns,
           CASE WHEN list_contains(h.homes, a.global_tid) THEN a.global_tid ELSE coalesce(h.lone, k.global_pid >> 24) << 24 END AS home
    FROM pieces AS k
    JOIN lap_homes AS h ON h.source_id = k.source_id
    JOIN cuda_api AS a ON a.source_id = k.source_id AND a.correlation_id = k.correlation_id
                          AND (a.global_tid >> 24) = (k.global_pid >> 24)
), placed AS (
    SELECT l.replica, l.rank, l.iteration, k.source_id, k.global_pid, k.correlation_id, k.work, k.name,
           k.start_ns + c.origin_ns + c.offset_ns AS start_ns, k.end_ns - k.start_ns AS duration_ns,
           k.call_ns - k.start_ns AS call_ns, k.called_ns - k.start_ns AS called_ns
    FROM launched AS k
    ASOF JOIN (FROM iteration_stretches WHERE rank IS NOT NULL) AS l
        ON l.source_id = k.source_id AND l.home = k.home AND k.call_ns >= l.from_ns
    JOIN clocks AS c ON c.source_id = k.source_id
    WHERE k.call_ns <= l.end_ns AND l.iteration IS NOT NULL AND c.origin_ns IS NOT NULL
), aligned AS (
    -- the work's own length is kept: of so short a time the clock's drift is no nanosecond
    SELECT p.* REPLACE (p.start_ns + coalesce(f.offset_ns + CAST(round(f.drift * (p.start_ns - f.at_ns)) AS BIGINT), 0) AS start_ns)
    FROM placed AS p
    ASOF LEFT JOIN clock_segments AS f ON f.source_id = p.source_id AND p.start_ns >= f.from_ns
)
SELECT replica, rank, iteration, source_id, work, name, coalesce(work = 'kernel' AND starts_with(name, 'nccl'), false) AS nccl,
       start_ns, start_ns + duration_ns AS end_ns, start_ns + call_ns AS call_ns, start_ns + called_ns AS called_ns,
       global_pid, correlation_id
FROM aligned

-- uses: _shared/nvtx_utc, _shared/clock_segments
-- One row a kernel that was launched within an NVTX iteration range of its rank, on the aligned clock. The range
-- is the host's: a kernel belongs to the iteration in which its launch began, whenever it ran.
CREATE VIEW lap_kernels AS
WITH laps AS (
    SELECT source_id, replica, rank, TRY_CAST(keys->>'$.n' AS BIGINT) AS iteration, session_start_ns AS start_ns,
           end_ns - start_ns + session_start_ns AS end_ns
    FROM nvtx_utc
    WHERE kind = 'iteration' AND end_ns IS NOT NULL AND rank IS NOT NULL
), launched AS (
    SELECT k.source_id, k.start_ns, k.end_ns, k.demangled_name, a.start_ns AS launch_ns
    FROM kernels AS k
    JOIN cuda_api AS a ON a.source_id = k.source_id AND a.correlation_id = k.correlation_id
                          AND (a.global_tid >> 24) = (k.global_pid >> 24)
    WHERE k.source_id IN (SELECT source_id FROM laps)
), placed AS (
    SELECT l.replica, l.rank, l.iteration, k.source_id, k.demangled_name,
           k.start_ns + c.origin_ns + c.offset_ns AS start_ns, k.end_ns + c.origin_ns + c.offset_ns AS end_ns
    FROM launched AS k
    ASOF JOIN laps AS l ON l.source_id = k.source_id AND k.launch_ns >= l.start_ns
    JOIN clocks AS c ON c.source_id = k.source_id
    WHERE k.launch_ns <= l.end_ns AND l.iteration IS NOT NULL AND c.origin_ns IS NOT NULL
)
SELECT p.replica, p.rank, p.iteration, p.source_id, p.demangled_name, starts_with(p.demangled_name, 'nccl') AS nccl,
       p.start_ns + coalesce(f.offset_ns + CAST(round(f.drift * (p.start_ns - f.at_ns)) AS BIGINT), 0) AS start_ns,
       p.end_ns + coalesce(f.offset_ns + CAST(round(f.drift * (p.end_ns - f.at_ns)) AS BIGINT), 0) AS end_ns
FROM placed AS p
ASOF LEFT JOIN clock_segments AS f ON f.source_id = p.source_id AND p.start_ns >= f.from_ns

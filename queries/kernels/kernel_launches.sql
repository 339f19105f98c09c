-- How each kernel came to run: its launching call, its time in the queue, its run.
-- One row a kernel whose launching call was recorded, as NVIDIA's cuda_kern_exec_trace (2023.4).
-- It can't tell of kernels whose call lies outside the recording: they have no row here.
-- param: source VARCHAR path = NULL — only this source; NULL: all
-- column: kernel_name VARCHAR - — name with template arguments
-- column: api_start_ns BIGINT ns — start of the launching call, since session start
-- column: api_duration_ns BIGINT ns — length of the call
-- column: queue_ns BIGINT ns — end of the call to start of the kernel; NULL where it started before the call ended
-- column: kernel_start_ns BIGINT ns — start of the kernel, since session start
-- column: kernel_duration_ns BIGINT ns — length of the kernel
-- column: total_ns BIGINT ns — start of the call to the later of the two ends
-- column: pid BIGINT - — process
-- column: tid BIGINT - — thread that launched it
-- column: device BIGINT - — CUDA ordinal within the process
-- needs: kernels(demangled_name, start_ns, end_ns, correlation_id, global_pid)
-- needs: cuda_api(start_ns, end_ns, correlation_id, global_tid)
SELECT
    k.demangled_name AS kernel_name,
    a.start_ns AS api_start_ns,
    a.end_ns - a.start_ns AS api_duration_ns,
    CASE WHEN k.start_ns >= a.end_ns THEN k.start_ns - a.end_ns END AS queue_ns,
    k.start_ns AS kernel_start_ns,
    k.end_ns - k.start_ns AS kernel_duration_ns,
    greatest(k.end_ns, a.end_ns) - a.start_ns AS total_ns,
    (a.global_tid >> 24) & 16777215 AS pid,
    a.global_tid & 16777215 AS tid,
    k.device_id AS device
FROM kernels k
-- A correlation id is unique only within its process.
JOIN cuda_api a
    ON a.source_id = k.source_id
    AND a.correlation_id = k.correlation_id
    AND a.global_tid - (a.global_tid & 16777215) = k.global_pid
WHERE $source::VARCHAR IS NULL OR k.source_id IN (SELECT source_id FROM sources WHERE path = $source)
ORDER BY api_start_ns, kernel_start_ns, pid, tid, kernel_name

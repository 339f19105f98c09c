-- One row a piece of GPU work: kernel, copy, or filling of memory, with the call that launched it.
-- Launches of whole CUDA graphs are not among them, as in NVIDIA's own reports.
CREATE VIEW nsys_gpu_work AS
SELECT source_id, global_pid, device_id, stream_id, correlation_id, start_ns, end_ns, 'kernel' AS work, demangled_name AS name
FROM kernels
UNION ALL
SELECT source_id, global_pid, device_id, stream_id, correlation_id, start_ns, end_ns, 'copy',
       'memcpy ' || coalesce(direction, 'of unknown direction')
FROM memcpys
UNION ALL
SELECT source_id, global_pid, device_id, stream_id, correlation_id, start_ns, end_ns, 'copy', 'memset'
FROM memsets

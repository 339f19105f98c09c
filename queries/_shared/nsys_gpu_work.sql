-- One row a piece of GPU work: kernel, copy, or filling of memory, with the call that launched it.
-- Launches of whole CUDA graphs are not among them, as in NVIDIA's own reports.
CREATE VIEW nsys_gpu_work AS
SELECT source_id, global_pid, correlation_id, start_ns, end_ns FROM kernels
UNION ALL
SELECT source_id, global_pid, correlation_id, start_ns, end_ns FROM memcpys
UNION ALL
SELECT source_id, global_pid, correlation_id, start_ns, end_ns FROM memsets

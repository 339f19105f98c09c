-- What each rank's GPU did in an iteration, by family of kernels.
-- One row a replica, rank, iteration and family that ran: gemm, attention, norm, quantise (and dequantise), copy (copies
-- and fillings of memory too), nccl (waiting included: see rank_iterations), other. Families go by name. It can't tell
-- what runs within fused kernels, nor kernels hidden in CUDA graphs; a server's own all-reduce (vLLM's
-- cross_device_reduce) is other, and compute in rank_iterations.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: rank INTEGER - = NULL — only this rank; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank
-- column: iteration BIGINT - — the engine's step counter
-- column: family VARCHAR - — family of kernels
-- column: pieces BIGINT - — kernels, copies and fillings
-- column: busy_ns BIGINT ns — their durations added up, streams side by side
-- column: longest_ns BIGINT ns — the longest of them
-- needs: kernels(demangled_name, start_ns, end_ns)
-- needs: sources(rank)
-- uses: _shared/placed_work, _shared/kernel_families
SELECT p.replica, p.rank, p.iteration, f.family, count(*) AS pieces, CAST(sum(p.end_ns - p.start_ns) AS BIGINT) AS busy_ns,
       max(p.end_ns - p.start_ns) AS longest_ns
FROM placed_work AS p
JOIN kernel_families AS f ON f.work = p.work AND f.name = p.name
WHERE ($replica IS NULL OR p.replica = $replica) AND ($rank IS NULL OR p.rank = $rank)
GROUP BY p.replica, p.rank, p.iteration, f.family
ORDER BY p.replica, p.iteration, p.rank, busy_ns DESC, f.family

-- How many ranks a replica has, and of how many the bundle holds times.
-- One row a replica of which at least one rank has times. Where ranks are absent, nothing tells when all had arrived:
-- waiting for an absent one looks like transfer. It can't tell ranks after the last number where no shape says tp=.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica; NULL: nothing tells
-- column: recorded BIGINT ranks — of which iterations are here
-- column: ranks BIGINT ranks — that it has at least, by tp= in shapes, holes in their numbers, and collectives
-- column: absent BIGINT ranks — of which nothing is here
-- needs: s_records(rank, iteration, gpu_ms) or NVTX iteration ranges (nsys profile -t cuda,nvtx)
-- uses: _shared/rank_counts
SELECT replica, recorded, ranks, ranks - recorded AS absent
FROM rank_counts
WHERE $replica IS NULL OR replica = $replica
ORDER BY replica

-- A step's time holds its collectives, and these the waiting (compute = gpu_ms - comm_ms). Where a part is longer than its
-- whole, the recorder took one of them for something else, and what is reckoned from both is not so.
INSERT INTO notes
WITH pairs AS (
    SELECT source_id, replica, rank, iteration, gpu_ms AS whole_ms, comm_ms AS part_ms, 'comm_ms' AS part, 'gpu_ms' AS whole,
           'collectives' AS what, 'compute' AS short FROM s_records
    UNION ALL
    SELECT source_id, replica, rank, iteration, comm_ms, sync_ms, 'sync_ms', 'comm_ms', 'waiting', 'transfers' FROM s_records
), told AS (
    SELECT source_id, replica, part, whole, what, short, count(*) AS records, count(*) FILTER (WHERE part_ms > whole_ms) AS beyond,
           arg_max({'rank': rank, 'iteration': iteration, 'part': part_ms, 'whole': whole_ms}, part_ms - whole_ms) AS most
    FROM pairs
    WHERE part_ms IS NOT NULL AND whole_ms IS NOT NULL
    GROUP BY ALL
)
SELECT source_id, 'data_loss', part || '-beyond-' || whole,
       format('{}{} is more than {} in {} of {} records, most {} in iteration {} ({:.3f} of {:.3f} ms): {} leaves {} out, and '
              '{} is told too short; record it with them', coalesce('replica ' || replica || ': ', ''), part, whole, beyond,
              records, coalesce('on rank ' || most.rank, 'in the engine''s view'), coalesce(most.iteration::VARCHAR, 'unknown'),
              most.part, most.whole, whole, what, short)
FROM told
WHERE beyond > 0
ORDER BY source_id, replica, part;

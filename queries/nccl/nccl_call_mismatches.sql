-- Where ranks of one communicator made different calls.
-- One row a variant of the k-th collective of a communicator on which its ranks do not agree in function,
-- count, datatype, operation or root. Only the first place of a communicator (`first_place`) is evidence:
-- behind it one call too many or too few shifts all others. A log whose head is missing counts from
-- another beginning and shows as a mismatch from call 1 on. Send and Recv differ between ranks by nature
-- and are left out, and so are calls whose communicator's initialisation is in no log. Calls inside
-- replayed CUDA graphs leave no line, so that agreement here proves nothing about them.
-- column: comm VARCHAR - — key of the communicator
-- column: call_no BIGINT - — k-th collective on it, from 1
-- column: first_place BOOLEAN - — whether it is the communicator's first disagreement
-- column: func VARCHAR - — collective
-- column: count UBIGINT - — elements
-- column: datatype VARCHAR - — element type
-- column: op VARCHAR - — reduction
-- column: root INTEGER - — root
-- column: ranks BIGINT - — ranks that made this call
-- column: which_ranks VARCHAR - — those ranks
-- column: majority BOOLEAN - — whether most ranks of the communicator made this one
-- column: line BIGINT - — line of the call of the lowest of those ranks
-- column: source VARCHAR - — its log
-- needs: nccl_calls(func, comm_key, rank, call_no)
WITH made AS (
    SELECT c.*, s.path
    FROM nccl_calls AS c
    JOIN sources AS s USING (source_id)
    WHERE c.rank IS NOT NULL AND c.func NOT IN ('Send', 'Recv')
), variants AS (
    SELECT comm_key, call_no, func, "count", datatype, op, root,
           count(DISTINCT rank) AS ranks,
           array_to_string(list_sort(list_distinct(list(rank))), ', ') AS which_ranks,
           arg_min(line, (rank, path, line)) AS line, arg_min(path, (rank, path, line)) AS path
    FROM made
    GROUP BY ALL
), compared AS (
    SELECT *, count(*) OVER (PARTITION BY comm_key, call_no) AS variants,
           sum(ranks) OVER (PARTITION BY comm_key, call_no) AS all_ranks
    FROM variants
)
SELECT comm_key AS comm, call_no, call_no = min(call_no) OVER (PARTITION BY comm_key) AS first_place,
       func, "count", datatype, op, root, ranks, which_ranks, 2 * ranks > all_ranks AS majority, line,
       path AS source
FROM compared
WHERE variants > 1
ORDER BY comm, call_no, ranks DESC, which_ranks

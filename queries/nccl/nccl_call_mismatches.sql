-- Where ranks of one communicator made different calls.
-- One row a variant of the k-th collective of a communicator on which its ranks do not agree in function,
-- count, datatype, operation or root. Only the first place of a communicator (`first_place`) is evidence:
-- behind it one call too many or too few shifts all others, and so does one whose record the log lost. A log
-- whose head is missing counts from another beginning and shows as a mismatch from call 1 on. Reductions that
-- processes made themselves are all one here: each process numbers its own. Of a rank that several logs tell of, the
-- one with most calls counts. Send and Recv differ between ranks by nature
-- and are left out, and so are calls whose communicator's initialisation is in no log, and communicators that cannot be
-- told apart: up to 2.23 two splits of one parent and color with other ranks get one key, which shows in a rank that is
-- there twice, or in two sizes. Calls inside replayed CUDA graphs leave no line, so that agreement here proves nothing about them.
-- column: comm VARCHAR - — key of the communicator
-- column: call_no BIGINT - — k-th collective on it, from 1
-- column: first_place BOOLEAN - — whether it is the communicator's first disagreement; NULL: a call may be torn or left out before it
-- column: func VARCHAR - — collective
-- column: count UBIGINT - — elements
-- column: datatype VARCHAR - — element type
-- column: op VARCHAR - — reduction; user: one that the process made
-- column: root INTEGER - — root
-- column: ranks BIGINT - — ranks that made this call
-- column: which_ranks VARCHAR - — those ranks
-- column: majority BOOLEAN - — whether most ranks of the communicator made this one
-- column: line BIGINT - — line of the call of the lowest of those ranks
-- column: source VARCHAR - — its log
-- needs: nccl_calls(func, comm_key, rank, call_no)
WITH written AS (
    SELECT source_id, host, pid, min(line) AS line, count(*) AS records FROM nccl_records WHERE host IS NOT NULL GROUP BY ALL
), torn AS (
    SELECT source_id, line FROM nccl_records WHERE torn AND (level IS NULL OR regexp_matches(msg, '^\w+: opCount'))
    UNION ALL
    -- an end begins somewhere before
    SELECT source_id, CASE WHEN starts_with(reason, 'torn: the end ') THEN 0 ELSE place END FROM rejects
    WHERE NOT starts_with(reason, 'torn: the end ') OR regexp_matches(text, 'opCount|nranks=')
    UNION ALL
    -- a record that was torn from its process, within its host's name, or is glued to such a half, seems another's
    SELECT source_id, line FROM nccl_calls WHERE host IS NULL AND source_id IN (SELECT source_id FROM written)
    UNION ALL
    SELECT source_id, a.line FROM written AS a JOIN written AS b USING (source_id, pid)
    WHERE a.host <> b.host AND a.records <= b.records AND (ends_with(a.host, b.host) OR ends_with(b.host, a.host))
    UNION ALL
    SELECT source_id, 0 FROM notes WHERE code = 'nccl-left-out'
), lost AS (
    SELECT source_id, min(line) AS lost_line FROM torn GROUP BY source_id
), named AS (
    -- a wrong count shifts those that follow it, and their own splits; one whose host was torn off tells nothing twice
    SELECT *, regexp_replace(comm_key, '/(split|n)\d+', '', 'g') AS family FROM nccl_communicators
    WHERE host IS NOT NULL OR source_id NOT IN (SELECT source_id FROM written)
), several AS (
    SELECT family FROM named GROUP BY comm_key, family, rank HAVING count(DISTINCT (host, pid, comm)) > 1
    UNION
    SELECT family FROM named GROUP BY comm_key, family HAVING count(DISTINCT nranks) > 1
), mixed AS (
    SELECT DISTINCT comm_key FROM named AS n JOIN several AS s ON n.family = s.family OR starts_with(n.family, s.family || '/')
), counted AS (
    SELECT comm_key, rank, source_id, count(*) AS calls FROM nccl_calls GROUP BY comm_key, rank, source_id
), fullest AS (
    SELECT comm_key, rank, arg_max(source_id, (calls, -source_id)) AS source_id FROM counted GROUP BY comm_key, rank
), made AS (
    SELECT c.* REPLACE (CASE WHEN starts_with(c.op, 'user') THEN 'user' ELSE c.op END AS op), s.path,
           coalesce(l.lost_line <= c.line, false) AS doubtful
    FROM nccl_calls AS c
    JOIN fullest AS f ON f.comm_key = c.comm_key AND f.rank = c.rank AND f.source_id = c.source_id
    JOIN sources AS s ON s.source_id = c.source_id
    LEFT JOIN lost AS l ON l.source_id = c.source_id
    WHERE c.rank IS NOT NULL AND c.func NOT IN ('Send', 'Recv') AND c.comm_key NOT IN (FROM mixed)
), variants AS (
    SELECT comm_key, call_no, func, "count", datatype, op, root,
           count(DISTINCT rank) AS ranks,
           array_to_string(list_sort(list_distinct(list(rank))), ', ') AS which_ranks,
           arg_min(line, (rank, path, line)) AS line, arg_min(path, (rank, path, line)) AS path, bool_or(doubtful) AS doubtful
    FROM made
    GROUP BY comm_key, call_no, func, "count", datatype, op, root
), compared AS (
    SELECT *, count(*) OVER (PARTITION BY comm_key, call_no) AS variants,
           sum(ranks) OVER (PARTITION BY comm_key, call_no) AS all_ranks,
           bool_or(doubtful) OVER (PARTITION BY comm_key, call_no) AS undecided
    FROM variants
)
SELECT comm_key AS comm, call_no,
       CASE WHEN call_no > min(call_no) OVER (PARTITION BY comm_key) THEN false WHEN NOT undecided THEN true END AS first_place,
       func, "count", datatype, op, root, ranks, which_ranks, 2 * ranks > all_ranks AS majority, line,
       path AS source
FROM compared
WHERE variants > 1
ORDER BY comm, call_no, ranks DESC, which_ranks

-- What went wrong first in each process, apart from what followed from it.
-- One row a first cause: the first warning of a process, or for InfiniBand the first completion of a peer
-- whose status is not 5 (flush: the queue was already broken); of a process that has no other, its first flush: what broke
-- the queue is not in its log. Where INFO lines tell that a communicator came up since, the next warning in other words is
-- a first one again: it follows from none before. `followed_by` counts the warnings and steps of unwinding of the same
-- process behind it, up to such a line, or to its restart where INFO lines tell one. InfiniBand reports only after its
-- retries, seconds to minutes late, and each process tells its own view: the peer named most often is the one to look at.
-- That a collective took too long is no line of NCCL's at all.
-- column: source VARCHAR - — path in the bundle
-- column: line BIGINT - — line
-- column: t_ns BIGINT ns — time, UTC; NULL where none is printed
-- column: host VARCHAR - — host
-- column: pid BIGINT - — process
-- column: dev INTEGER - — CUDA device current in the printing thread
-- column: kind VARCHAR - — ib_completion, ib_async, socket_fail, warn_other
-- column: peer VARCHAR - — the other side
-- column: status INTEGER - — InfiniBand completion status: 4 local protection, 5 flush, 10 remote access, 12 retries exceeded, 13 receiver not ready
-- column: vendor INTEGER - — vendor's error number
-- column: result INTEGER - — ncclResult_t that it ended in: 1 CUDA, 2 system, 3 internal, 4 argument, 5 usage, 6 remote
-- column: hca VARCHAR - — network device
-- column: followed_by BIGINT - — warnings and steps of the same process behind it
-- column: loc VARCHAR - — file:line in the source of NCCL or its plugin
-- column: msg VARCHAR - — message
-- needs: nccl_errors(kind, first_cause)
WITH lives AS (
    SELECT source_id, host, pid, line AS born FROM nccl_records
    WHERE kind = 'init_complete' OR regexp_matches(msg, '^(Bootstrap ?: Using|cudaDriverVersion) ')
), numbered AS (
    SELECT e.* REPLACE (e.t_ns + coalesce(c.offset_ns, 0) AS t_ns), s.path,
           count(*) OVER later AS followed_by,
           first_value(e.result IGNORE NULLS) OVER later AS later_result,
           bool_or(e.first_cause) OVER life AS caused,
           row_number() OVER (PARTITION BY e.source_id, e.host, e.pid, l.born, e.status = 5 ORDER BY e.line, e.piece) AS nth
    FROM nccl_errors AS e
    JOIN sources AS s USING (source_id)
    LEFT JOIN clocks AS c USING (source_id)
    ASOF LEFT JOIN lives AS l ON l.source_id = e.source_id AND l.host = e.host AND l.pid = e.pid AND e.line >= l.born
    WHERE e.kind <> 'socket_retry'
    WINDOW life AS (PARTITION BY e.source_id, e.host, e.pid, l.born),
           later AS (PARTITION BY e.source_id, e.host, e.pid, l.born ORDER BY e.line, e.piece
                     ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
)
SELECT path AS source, line, t_ns, host, pid, dev, kind, peer, status, vendor,
       coalesce(result, later_result) AS result, hca, followed_by, loc, msg
FROM numbered
WHERE first_cause OR NOT caused AND status = 5 AND nth = 1
ORDER BY t_ns NULLS LAST, source, line, piece

-- Which algorithm and protocol was chosen for each collective and size, and where that changed.
-- One row a stretch of equal choices for one collective and size of one communicator, in the order of the
-- log. Another algorithm, protocol or number of channels adds in another order, which is enough to change
-- the last bits of a sum. Only rank 0 of a communicator prints its choices, NCCL 2.20 and newer, and a
-- choice made while a CUDA graph was captured is printed once however often it is replayed. Choices whose
-- communicator is unknown may be of several, whose lines alternate: they are gathered by choice instead of by order,
-- and whether one of them changed stays open.
-- param: func VARCHAR - = NULL — only this collective, e.g. AllReduce; NULL: all
-- column: source VARCHAR - — path in the bundle
-- column: host VARCHAR - — host
-- column: pid BIGINT - — process
-- column: comm VARCHAR - — key of the communicator; NULL where no call fits the choice
-- column: func VARCHAR - — collective; NULL in 2.20 to 2.22, which do not print it
-- column: bytes UBIGINT B — size
-- column: choice VARCHAR - — algorithm/protocol, or the kernel of a variant
-- column: channels BIGINT - — channels used; NULL where not printed
-- column: changed BOOLEAN - — whether another choice stood before for the same collective and size; NULL: unknown communicator
-- column: previous VARCHAR - — that choice
-- column: times BIGINT - — how often it was chosen in this stretch (unknown communicator: in all)
-- column: first_line BIGINT - — line of its first choice
-- column: last_line BIGINT - — line of its last choice
-- column: first_ns BIGINT ns — time of the first, UTC; NULL where none is printed
-- column: predicted_us DOUBLE us — mean of the cost model's time: no measurement
-- needs: nccl_tuning(func, bytes, algo, proto)
WITH chosen AS (
    SELECT t.* REPLACE (t.t_ns + coalesce(c.offset_ns, 0) AS t_ns), s.path,
           coalesce(t.algo || '/' || t.proto, t.variant || ': ' || t.kernel, t.kernel) AS choice,
           CAST(coalesce(t.channel_hi - t.channel_lo + 1, t.channels) AS BIGINT) AS used
    FROM nccl_tuning AS t
    JOIN sources AS s USING (source_id)
    LEFT JOIN clocks AS c USING (source_id)
    WHERE $func IS NULL OR t.func = $func
), told AS (
    SELECT *, lag(choice) OVER by_size AS before, lag(used) OVER by_size AS used_before,
           row_number() OVER by_size AS nth
    FROM chosen
    WINDOW by_size AS (PARTITION BY source_id, host, pid, dev, comm_key, func, bytes ORDER BY line, piece)
), stretches AS (
    SELECT *, CASE WHEN comm_key IS NOT NULL THEN
               nth > 1 AND (choice IS DISTINCT FROM before OR used IS DISTINCT FROM used_before) END AS is_new
    FROM told
), numbered AS (
    SELECT *, count(CASE WHEN is_new THEN 1 END) OVER (
               PARTITION BY source_id, host, pid, dev, comm_key, func, bytes ORDER BY line, piece) AS stretch
    FROM stretches
)
SELECT path AS source, host, pid, comm_key AS comm, func, bytes, choice, used AS channels,
       bool_or(is_new) AS changed,
       max(CASE WHEN is_new THEN before || coalesce(' (' || used_before || ' channels)', '') END) AS previous,
       count(*) AS times, min(line) AS first_line, max(line) AS last_line, min(t_ns) AS first_ns,
       avg(predicted_us) AS predicted_us
FROM numbered
GROUP BY path, host, pid, dev, comm_key, func, bytes, stretch, choice, used
ORDER BY path, host, pid, comm, func, bytes, first_line

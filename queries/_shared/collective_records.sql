-- uses: _shared/nvtx_utc
-- One row a rank's part in a collective as one kind of source has it, by the source's own clock. track is what
-- keeps the order of calls: a stream of a GPU, or a rank's communicator. seq is the recorded number, if any.
-- A source that holds several ranks numbers them by CUDA device, or where devices repeat by process; several such
-- sources of a replica one after the other. The Inspector tells a rank by communicator: the process's is its source's, or
-- where that holds several, that in its largest communicator; and of AllGather and ReduceScatter the size of one rank's
-- part: bytes are those of all, as nccl-tests count them.
CREATE VIEW collective_records AS
WITH launched AS (
    SELECT k.source_id, k.global_pid, k.device_id, k.stream_id,
           regexp_extract(k.demangled_name, '^nccl(?:Symk?)?(?:Dev)?Kernel_?([A-Z][A-Za-z]+)', 1) AS op,
           k.start_ns + c.origin_ns + c.offset_ns AS start_ns, k.end_ns + c.origin_ns + c.offset_ns AS end_ns
    FROM kernels AS k
    JOIN clocks AS c USING (source_id)
    WHERE starts_with(k.demangled_name, 'nccl') AND c.origin_ns IS NOT NULL
), places AS (
    SELECT d.*, s.replica, s.rank AS told, count(*) OVER (PARTITION BY d.source_id) > 1 AS several,
           count(*) OVER (PARTITION BY d.source_id, d.device_id) AS sharing
    FROM (SELECT DISTINCT source_id, global_pid, device_id FROM launched) AS d
    JOIN sources AS s USING (source_id)
), ordered AS (
    SELECT *, max(sharing) OVER (PARTITION BY source_id) = 1 AS apart,
           min(source_id) OVER (PARTITION BY replica, several) < max(source_id) OVER (PARTITION BY replica, several) AS files
    FROM places
), devices AS (
    SELECT *, row_number() OVER (PARTITION BY replica, several
                                 ORDER BY source_id, CASE WHEN apart THEN device_id END, global_pid, device_id) - 1 AS place
    FROM ordered
), memberships AS (
    SELECT source_id, hostname, pid, comm_id, comm_name, max(coalesce(n_ranks, 0)) AS size, min(rank) AS lowest, max(rank) AS highest
    FROM nccl_inspector
    GROUP BY source_id, hostname, pid, comm_id, comm_name
), inspected AS (
    SELECT source_id, hostname, pid, bool_or(lowest < highest) AS several, count(*) OVER (PARTITION BY source_id) = 1 AS lone,
           CASE WHEN count(DISTINCT lowest) FILTER (size = most) = 1 THEN min(lowest) FILTER (size = most) END AS own
    FROM (SELECT *, max(size) OVER (PARTITION BY source_id, hostname, pid) AS most FROM memberships)
    GROUP BY source_id, hostname, pid
)
SELECT l.source_id, d.replica,
       CAST(CASE WHEN NOT d.several THEN d.told WHEN d.apart AND NOT d.files THEN d.device_id ELSE d.place END AS INTEGER) AS rank,
       '' AS comm, 'stream ' || coalesce(CAST(l.stream_id AS VARCHAR), '?') AS track, CAST(NULL AS BIGINT) AS seq,
       nullif(l.op, '') AS op, CAST(NULL AS BIGINT) AS bytes, l.start_ns, l.end_ns,
       CASE WHEN NOT d.several THEN 'NCCL kernels' WHEN d.files THEN 'NCCL kernels, rank = order of files and devices'
            WHEN d.apart THEN 'NCCL kernels, rank = CUDA device' ELSE 'NCCL kernels, rank = order of processes' END AS way, 1 AS choice
FROM launched AS l
JOIN devices AS d ON d.source_id = l.source_id AND d.global_pid IS NOT DISTINCT FROM l.global_pid
                     AND d.device_id IS NOT DISTINCT FROM l.device_id
UNION ALL
SELECT source_id, replica, rank, coalesce(keys->>'$.comm', ''), coalesce(keys->>'$.comm', ''),
       TRY_CAST(keys->>'$.seq' AS BIGINT), keys->>'$.op', TRY_CAST(keys->>'$.bytes' AS BIGINT), start_ns, end_ns,
       'NVTX collective ranges', 2
FROM nvtx_utc
WHERE kind = 'collective' AND end_ns IS NOT NULL
UNION ALL
SELECT i.source_id, s.replica,
       CASE WHEN p.several THEN i.rank ELSE coalesce(CASE WHEN p.lone THEN s.rank END, p.own, i.rank) END,
       coalesce(i.comm_id, i.comm_name, ''), coalesce(i.comm_id, i.comm_name, ''), i.sn, i.coll,
       CASE WHEN lower(i.coll) IN ('allgather', 'reducescatter') THEN i.bytes * i.n_ranks ELSE i.bytes END,
       i.start_ns + coalesce(c.offset_ns, 0), i.stop_ns + coalesce(c.offset_ns, 0), 'NCCL Inspector', 3
FROM nccl_inspector AS i
JOIN inspected AS p ON p.source_id = i.source_id AND p.hostname IS NOT DISTINCT FROM i.hostname AND p.pid IS NOT DISTINCT FROM i.pid
JOIN sources AS s ON s.source_id = i.source_id
LEFT JOIN clocks AS c ON c.source_id = i.source_id
WHERE i.start_ns IS NOT NULL AND i.stop_ns IS NOT NULL AND i.peer IS NULL

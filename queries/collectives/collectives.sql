-- Collectives matched across ranks: who arrived when, who waited, how long the transfer took.
-- One row a collective that at least two ranks recorded. The straggler arrives last and has the shortest
-- range: the ranks with the long ones are those that wait. straggler_rank is NULL where the last two
-- arrivals lie closer together than their clocks are sure, and where a rank of the communicator did not record it: that
-- one may have come later, or not at all. Kernels don't tell which ranks a communicator has.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: comm VARCHAR - — communicator, empty where unnamed
-- column: seq BIGINT - — number of the collective
-- column: op VARCHAR - — AllReduce, ...
-- column: bytes BIGINT B — message size
-- column: ranks BIGINT ranks — that recorded it
-- column: first_arrival_ns BIGINT ns — first arrival, UTC epoch
-- column: last_arrival_ns BIGINT ns — last arrival, UTC epoch
-- column: end_ns BIGINT ns — when the last rank left, UTC epoch
-- column: wait_ns BIGINT ns — the longest wait of a rank for the last to arrive
-- column: transfer_ns BIGINT ns — from the last arrival to the end
-- column: straggler_rank INTEGER - — rank that arrived last
-- column: source VARCHAR - — where the times come from
-- needs: collective_calls(seq, rank, start_ns, end_ns)
-- uses: _shared/collective_arrivals, _shared/is_before
WITH told AS (
    SELECT replica, comm, count(DISTINCT rank) AS ranks FROM collective_calls GROUP BY replica, comm
), sized AS (
    SELECT comm_id AS comm, max(n_ranks) AS ranks FROM nccl_inspector GROUP BY comm_id
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY replica, comm, seq, op ORDER BY arrival_ns DESC, rank) AS place
    FROM collective_arrivals
    WHERE ranks > 1 AND ($replica IS NULL OR replica = $replica)
), matched AS (
    SELECT replica, comm, seq, op, max(bytes) AS bytes, count(*) AS ranks, min(arrival_ns) AS first_arrival_ns,
           max(arrival_ns) AS last_arrival_ns, max(leave_ns) AS end_ns, max(wait_ns) AS wait_ns,
           min(transfer_ns) AS transfer_ns, any_value(rank) FILTER (WHERE place = 1) AS last_rank,
           max(arrival_ns) FILTER (WHERE place = 2) AS second_ns, any_value(way) AS way,
           -- ranks of one source share its clock, as far as they leave together
           CASE WHEN max(clocks) = 1 THEN max(leave_ns) - min(leave_ns)
                ELSE sum(uncertainty_ns) FILTER (WHERE place <= 2) END AS joint_ns
    FROM ranked
    GROUP BY replica, comm, seq, op
)
SELECT m.replica, m.comm, seq, op, bytes, m.ranks, first_arrival_ns, last_arrival_ns, end_ns, wait_ns, transfer_ns,
       CASE WHEN is_before(second_ns, last_arrival_ns, joint_ns)
             AND (starts_with(way, 'NCCL kernels') OR m.ranks >= greatest(t.ranks, coalesce(s.ranks, 0))) THEN last_rank END AS straggler_rank,
       way AS source
FROM matched AS m
JOIN told AS t ON t.replica IS NOT DISTINCT FROM m.replica AND t.comm = m.comm
LEFT JOIN sized AS s ON s.comm = m.comm
ORDER BY m.replica, m.comm, seq, op

-- Collectives matched across ranks: who arrived when, who waited, how long the transfer took.
-- One row a collective that at least two ranks recorded. The straggler arrives last and has the shortest
-- range: the ranks with the long ones are those that wait. straggler_rank is NULL where the last two
-- arrivals lie closer together than their clocks are sure.
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
WITH ranked AS (
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
SELECT replica, comm, seq, op, bytes, ranks, first_arrival_ns, last_arrival_ns, end_ns, wait_ns, transfer_ns,
       CASE WHEN is_before(second_ns, last_arrival_ns, joint_ns) THEN last_rank END AS straggler_rank,
       way AS source
FROM matched
ORDER BY replica, comm, seq, op

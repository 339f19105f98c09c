-- uses: _shared/collective_arrivals, _shared/rank_times, _shared/untied_ranks, _shared/is_before
-- One row a collective that several ranks recorded: its size, its transfer, and the iteration of the rank that arrived
-- last in which it did (NULL: in none that is recorded, or, where another source times iterations, in none for sure).
CREATE VIEW collective_laps AS
WITH last AS (
    SELECT *, max(bytes) OVER (PARTITION BY replica, comm, seq, op) AS sent, coalesce(replica, '') AS place
    FROM collective_arrivals
    WHERE ranks > 1
    QUALIFY row_number() OVER (PARTITION BY replica, comm, seq, op ORDER BY wait_ns, rank) = 1
), laps AS (
    SELECT *, coalesce(replica, '') AS place FROM rank_times
), timed AS (
    SELECT a.*, CASE WHEN u.rank IS NULL THEN a.arrival_ns ELSE a.own_ns END AS at_ns
    FROM last AS a
    LEFT JOIN untied_ranks AS u ON u.place = a.place AND u.rank = a.rank
), placed AS (
    SELECT a.*, l.iteration, l.source_id = a.source_id AS own, l.start_ns, l.end_ns, a.uncertainty_ns + l.unsure_ns AS joint_ns
    FROM timed AS a
    ASOF LEFT JOIN laps AS l ON l.place = a.place AND l.rank = a.rank AND a.at_ns >= l.start_ns
)
SELECT replica, comm, seq, op, ranks, sent AS bytes, transfer_ns, arrival_ns,
       CASE WHEN at_ns <= end_ns
             AND (own OR joint_ns IS NULL
                  OR is_before(start_ns, at_ns, joint_ns) AND is_before(at_ns, end_ns, joint_ns)) THEN iteration END AS iteration
FROM placed

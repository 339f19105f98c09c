-- uses: _shared/clock_segments
-- One row a rank's part in a collective that several ranks recorded, on the aligned clock (own_ns: its arrival by its
-- source's own). wait_ns is the time
-- that it waited for the last to arrive: its duration beyond the shortest, since all leave together; it needs
-- no clock.
CREATE VIEW collective_arrivals AS
SELECT c.replica, c.comm, c.seq, c.op, c.bytes, c.rank, c.source_id, c.way,
       c.start_ns + coalesce(f.offset_ns + CAST(round(f.drift * (c.start_ns - f.at_ns)) AS BIGINT), 0) AS arrival_ns,
       c.end_ns + coalesce(f.offset_ns + CAST(round(f.drift * (c.end_ns - f.at_ns)) AS BIGINT), 0) AS leave_ns,
       c.start_ns AS own_ns, f.uncertainty_ns, c.end_ns - c.start_ns AS duration_ns,
       c.end_ns - c.start_ns - min(c.end_ns - c.start_ns) OVER w AS wait_ns,
       min(c.end_ns - c.start_ns) OVER w AS transfer_ns, count(*) OVER w AS ranks, count(DISTINCT c.source_id) OVER w AS clocks
FROM collective_calls AS c
ASOF LEFT JOIN clock_segments AS f ON f.source_id = c.source_id AND c.start_ns >= f.from_ns
WHERE c.seq IS NOT NULL
WINDOW w AS (PARTITION BY c.replica, c.comm, c.seq, c.op)

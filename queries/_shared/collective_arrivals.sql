-- uses: _shared/collective_calls, _shared/clock_fit
-- One row a rank's part in a collective, on the aligned clock. wait_ns is the time that it waited for
-- the last to arrive: its duration beyond the shortest, since all leave together; it needs no clock.
CREATE VIEW collective_arrivals AS
SELECT c.replica, c.comm, c.seq, c.op, c.bytes, c.rank, c.source_id, c.source,
       c.start_ns + coalesce(f.offset_ns, 0) AS arrival_ns, c.end_ns + coalesce(f.offset_ns, 0) AS leave_ns,
       c.duration_ns, c.duration_ns - min(c.duration_ns) OVER w AS wait_ns, min(c.duration_ns) OVER w AS transfer_ns,
       count(*) OVER w AS ranks
FROM collective_calls AS c
LEFT JOIN clock_fit AS f USING (source_id)
WINDOW w AS (PARTITION BY c.replica, c.comm, c.seq, c.op)

-- uses: _shared/collective_calls
-- One row a source whose ranks share collectives with others: how far its clock stands from the
-- collective's common end. All ranks leave a collective together, so the median distance of its ends
-- from the median end of all ranks is its clock's offset; the uncertainty is the scaled MAD of those
-- distances (1.4826 × MAD estimates a standard deviation), twice, for 95 %. stay_ns is the longest of the
-- collectives' shortest stays, within which all ranks leave: few events show no spread of their own.
CREATE VIEW clock_fit AS
WITH ends AS (
    SELECT source_id, end_ns - first_ns - median(end_ns - first_ns) OVER (PARTITION BY replica, comm, seq, op) AS off,
           count(*) OVER (PARTITION BY replica, comm, seq, op) AS ranks,
           min(duration_ns) OVER (PARTITION BY replica, comm, seq, op) AS stay_ns
    FROM (
        -- epoch times lose their last bits as DOUBLE: distances are taken first
        SELECT *, min(end_ns) OVER (PARTITION BY replica, comm, seq, op) AS first_ns FROM collective_calls
    )
)
SELECT source_id, CAST(round(-median(off)) AS BIGINT) AS offset_ns,
       CAST(ceil(2 * 1.4826 * mad(off)) AS BIGINT) AS uncertainty_ns, count(*) AS events,
       max(stay_ns) AS stay_ns
FROM ends
WHERE ranks > 1
GROUP BY source_id

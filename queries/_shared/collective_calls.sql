-- uses: _shared/nvtx_utc
-- One row a rank's part in a collective: from its arrival to its leaving, as its own clock has it.
-- call is the collective's number: the recorded seq where there is one, this rank's own count otherwise.
CREATE VIEW collective_calls AS
SELECT source_id, source, replica, rank, coalesce(keys->>'$.comm', '') AS comm,
       coalesce(TRY_CAST(keys->>'$.seq' AS BIGINT),
                row_number() OVER (PARTITION BY source_id, keys->>'$.comm' ORDER BY start_ns) - 1) AS seq,
       keys->>'$.op' AS op, TRY_CAST(keys->>'$.bytes' AS BIGINT) AS bytes, start_ns, end_ns,
       end_ns - start_ns AS duration_ns
FROM nvtx_utc
WHERE kind = 'collective' AND end_ns IS NOT NULL AND rank IS NOT NULL

-- An engine that was started anew counts its iterations from 0 again. Where a source recorded its smallest iteration after
-- the middle one had begun, two runs of an engine, or two engines, bear one replica's name.
INSERT INTO notes
WITH told AS (
    SELECT r.source_id, coalesce(r.replica, s.replica) AS replica, r.rank, r.iteration, min(r.ts_ns) AS first_ns, max(r.ts_ns) AS last_ns
    FROM staged_s_records AS r
    JOIN sources AS s USING (source_id)
    WHERE r.iteration IS NOT NULL AND r.ts_ns IS NOT NULL AND coalesce(r.replica, s.replica) IS NOT NULL
    GROUP BY ALL
), ordered AS (
    SELECT *, row_number() OVER each AS place, count(*) OVER (PARTITION BY source_id, replica, rank) AS iterations
    FROM told
    WINDOW each AS (PARTITION BY source_id, replica, rank ORDER BY iteration)
), again AS (
    SELECT replica, min(f.iteration) AS smallest, min(m.iteration) AS middle
    FROM ordered AS f
    JOIN ordered AS m USING (source_id, replica)
    WHERE f.rank IS NOT DISTINCT FROM m.rank AND f.place = 1 AND m.place = f.iterations // 2 + 1 AND f.last_ns > m.first_ns
    GROUP BY replica
)
SELECT -1, 'data_loss', 'iterations-begun-again',
       format('replica {}: iteration {} was recorded after iteration {} had begun: its counter began again, or two engines '
              'bear its name; they are told as one: give each its own', replica, smallest, middle)
FROM again
ORDER BY replica;

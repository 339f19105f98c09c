-- An engine that was started anew counts its iterations from 0 again. Where a source recorded its smallest iteration after
-- the middle one had begun, two runs of an engine, or two engines, bear one replica's name. So they do where a source
-- begins after another one has ended (on the bundle's clock), below its middle iteration.
INSERT INTO notes
WITH told AS (
    SELECT r.source_id, coalesce(r.replica, s.replica) AS replica, r.rank, r.iteration, min(r.ts_ns) AS first_ns, max(r.ts_ns) AS last_ns
    FROM staged_s_records AS r
    JOIN sources AS s USING (source_id)
    WHERE r.iteration IS NOT NULL AND r.ts_ns IS NOT NULL AND coalesce(r.replica, s.replica) IS NOT NULL
    GROUP BY ALL
), runs AS (
    SELECT t.source_id, t.replica, t.rank, min(t.iteration) AS smallest, max(t.iteration) AS largest,
           min(t.first_ns::HUGEINT + c.offset_ns) AS first_ns,
           max(t.last_ns::HUGEINT + c.offset_ns) AS last_ns
    FROM told AS t
    JOIN clocks AS c USING (source_id)
    GROUP BY ALL
), ordered AS (
    SELECT *, row_number() OVER each AS place, count(*) OVER (PARTITION BY source_id, replica, rank) AS iterations
    FROM told
    WINDOW each AS (PARTITION BY source_id, replica, rank ORDER BY iteration)
), again AS (
    SELECT replica, f.iteration AS smallest, m.iteration AS middle
    FROM ordered AS f
    JOIN ordered AS m USING (source_id, replica)
    WHERE f.rank IS NOT DISTINCT FROM m.rank AND f.place = 1 AND m.place = f.iterations // 2 + 1 AND f.last_ns > m.first_ns
    UNION ALL
    SELECT l.replica, l.smallest, e.largest
    FROM runs AS e
    JOIN runs AS l ON l.replica = e.replica AND l.rank IS NOT DISTINCT FROM e.rank
    WHERE l.first_ns > e.last_ns AND l.smallest < e.smallest + (e.largest - e.smallest) // 2
)
SELECT -1, 'data_loss', 'iterations-begun-again',
       format('replica {}: iteration {} was recorded after iteration {} had begun: its counter began again, or two engines '
              'bear its name; they are told as one: give each its own', replica, min(smallest), min(middle))
FROM again
GROUP BY replica
ORDER BY replica;

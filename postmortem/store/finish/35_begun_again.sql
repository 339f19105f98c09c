-- An engine that was started anew counts its iterations from 0 again. Where records of one iteration still come after
-- the second one after it began, two runs of an engine, or two engines, bear one replica's name.
INSERT INTO notes
WITH told AS (
    SELECT replica, iteration, rank, min(ts_ns) AS first_ns, max(ts_ns) AS last_ns
    FROM s_records
    WHERE replica IS NOT NULL AND iteration IS NOT NULL AND ts_ns IS NOT NULL
    GROUP BY replica, iteration, rank
), after AS (
    SELECT replica, last_ns, lead(first_ns, 2) OVER (PARTITION BY replica, rank ORDER BY iteration) AS then_ns FROM told
)
SELECT -1, 'data_loss', 'iterations-begun-again',
       format('replica {}: {} iterations were recorded at two times: its counter began again, or two engines bear its name; '
              'they are told as one: give each its own', replica, count(*))
FROM after
WHERE last_ns >= then_ns
GROUP BY replica
ORDER BY replica;

-- A pattern of bundle.toml's [nvtx] that matches nothing, and iterations without a number, look as if nothing had been
-- recorded. A large table has no column yet in which nothing stands.
CREATE TEMP VIEW told AS
SELECT CAST(NULL AS INTEGER) AS source_id, CAST(NULL AS BIGINT) AS global_tid, CAST(NULL AS BIGINT) AS start_ns,
       CAST(NULL AS VARCHAR) AS kind, CAST(NULL AS VARCHAR) AS keys WHERE false
UNION ALL BY NAME
FROM nvtx_events;

INSERT INTO notes
SELECT -1, 'notice', 'nvtx-pattern-unmatched',
       format('the [nvtx] pattern of {} matches no NVTX text that an earlier one leaves', substr(key, 6))
FROM bundle
WHERE starts_with(key, 'nvtx.') AND substr(key, 6) NOT IN (SELECT kind FROM told WHERE kind IS NOT NULL)
  AND EXISTS (FROM nvtx_events)
ORDER BY key;

INSERT INTO notes
SELECT source_id, 'notice', 'nvtx-iterations-unnumbered',
       format('{} iteration ranges or marks tell no number: their text, or the [nvtx] pattern''s group n, (?P<n>\d+), names it',
              count(*))
FROM told
WHERE kind = 'iteration' AND TRY_CAST(keys->>'$.n' AS BIGINT) IS NULL
GROUP BY source_id
ORDER BY source_id;

-- A thread that comes back to its smallest number after its middle one counts anew (see 15_begun_again). Of fewer than
-- eight it may be a part of one that it finishes: engines schedule an iteration or two ahead, not four.
INSERT INTO notes
WITH laps AS (
    SELECT source_id, global_tid, TRY_CAST(keys->>'$.n' AS BIGINT) AS iteration, min(start_ns) AS first_ns, max(start_ns) AS last_ns
    FROM told
    WHERE kind = 'iteration' AND TRY_CAST(keys->>'$.n' AS BIGINT) IS NOT NULL
    GROUP BY ALL
), ordered AS (
    SELECT *, row_number() OVER (PARTITION BY source_id, global_tid ORDER BY iteration) AS place,
           count(*) OVER (PARTITION BY source_id, global_tid) AS iterations
    FROM laps
)
SELECT f.source_id, 'data_loss', 'iterations-begun-again',
       format('a thread''s iteration {} began after its iteration {} had: its counter began again, or the text counts '
              'something else (a request''s steps); iterations of one number are told as one',
              min(f.iteration), min(m.iteration))
FROM ordered AS f
JOIN ordered AS m ON m.source_id = f.source_id AND m.global_tid IS NOT DISTINCT FROM f.global_tid
WHERE f.place = 1 AND f.iterations >= 8 AND m.place = f.iterations // 2 + 1 AND f.last_ns > m.first_ns
GROUP BY f.source_id
ORDER BY f.source_id;

DROP VIEW told;

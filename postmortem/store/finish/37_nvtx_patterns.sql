-- A pattern of [nvtx] that matches nothing, and iterations without a number, look as if nothing had been recorded. A large
-- table has no column yet in which nothing stands.
CREATE TEMP VIEW told AS
SELECT CAST(NULL AS INTEGER) AS source_id, CAST(NULL AS VARCHAR) AS kind, CAST(NULL AS VARCHAR) AS keys WHERE false
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

DROP VIEW told;

-- s records: the earliest of each (request, step, rank, replica) or (replica, rank, iteration) is kept, the others are counted
-- as ignored. One with a token comes before those without: an engine may tell of step 0 in each iteration that computes a
-- part of the prompt, and has its token after the last. Of those at one time the smallest by content is the first, so that
-- the order of lines and files leaves no trace. A record without a replica is its source's; times come onto the bundle's
-- clock (NULL where a record could not bear it, below -2^61 ns or from 2^62 on).
CREATE TEMP VIEW kept AS
SELECT r.* REPLACE (
    coalesce(r.replica, s.replica) AS replica,
    CASE WHEN c.offset_ns = 0 THEN r.ts_ns
         WHEN CAST(r.ts_ns AS HUGEINT) + c.offset_ns BETWEEN -2305843009213693952 AND 4611686018427387903
         THEN CAST(CAST(r.ts_ns AS HUGEINT) + c.offset_ns AS BIGINT) END AS ts_ns
)
FROM staged_s_records AS r
JOIN sources AS s USING (source_id)
JOIN clocks AS c USING (source_id);
CREATE TEMP TABLE doubles AS
WITH keys AS (
    SELECT req_id, step, rank, replica, CASE WHEN req_id IS NULL THEN iteration END AS lap FROM kept GROUP BY ALL HAVING count(*) > 1
)
SELECT r.source_id, r.line
FROM kept AS r
JOIN keys AS k ON k.req_id IS NOT DISTINCT FROM r.req_id
    AND k.step IS NOT DISTINCT FROM r.step
    AND k.rank IS NOT DISTINCT FROM r.rank
    AND k.replica IS NOT DISTINCT FROM r.replica
    AND k.lap IS NOT DISTINCT FROM CASE WHEN r.req_id IS NULL THEN r.iteration END
QUALIFY row_number() OVER (
    PARTITION BY k.req_id, k.step, k.rank, k.replica, k.lap
    ORDER BY r.token_id IS NULL, r.ts_ns NULLS LAST, CAST(struct_update(r, source_id := 0, line := 0) AS VARCHAR),
             r.source_id, r.line
) > 1;
INSERT INTO ignored SELECT source_id, 'duplicate of an earlier s record', count(*) FROM doubles GROUP BY source_id;
UPDATE sources SET parsed = parsed - d.n, rows = rows - d.n, ignored = ignored + d.n
FROM (SELECT source_id, count(*) AS n FROM doubles GROUP BY source_id) AS d
WHERE sources.source_id = d.source_id;
INSERT INTO s_records BY NAME
SELECT r.* FROM kept AS r
ANTI JOIN doubles AS d ON d.source_id = r.source_id AND d.line = r.line
ORDER BY replica, rank NULLS FIRST, iteration, req_id, step, source_id, line;
DROP TABLE doubles;
DROP VIEW kept;
DROP TABLE staged_s_records;

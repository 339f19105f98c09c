-- x records: the first of each request and replica is kept, the others are counted as ignored.
CREATE TEMP TABLE doubles AS
SELECT source_id, line
FROM x_records
QUALIFY row_number() OVER (PARTITION BY req_id, replica ORDER BY source_id, line) > 1;
INSERT INTO ignored SELECT source_id, 'duplicate of an earlier x record', count(*) FROM doubles GROUP BY source_id;
UPDATE sources SET parsed = parsed - d.n, rows = rows - d.n, ignored = ignored + d.n
FROM (SELECT source_id, count(*) AS n FROM doubles GROUP BY source_id) AS d
WHERE sources.source_id = d.source_id;
CREATE TEMP TABLE kept AS
SELECT x.* REPLACE (coalesce(x.replica, s.replica) AS replica)
FROM x_records AS x
JOIN sources AS s USING (source_id)
ANTI JOIN doubles AS d ON d.source_id = x.source_id AND d.line = x.line;
DELETE FROM x_records;
INSERT INTO x_records BY NAME SELECT * FROM kept ORDER BY req_id, replica, source_id, line;
DROP TABLE kept;
DROP TABLE doubles;

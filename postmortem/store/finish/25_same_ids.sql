-- Request ids that several replicas served: mirrored traffic, or ids that clients give. Where two replicas recorded the
-- same step of an id, these are two requests, told apart as replica/id. An x record without a replica (a gateway's) is
-- each one's. A request that moved from one replica to another shares no step with itself and stays one: of its x
-- records the first admitted is kept, the others are counted as ignored.
CREATE TEMP TABLE same_ids AS
WITH several AS (
    SELECT req_id FROM s_records WHERE req_id IS NOT NULL GROUP BY req_id HAVING min(replica) <> max(replica)
), twice AS (
    SELECT req_id FROM s_records SEMI JOIN several USING (req_id) GROUP BY req_id, step HAVING min(replica) <> max(replica)
)
SELECT DISTINCT s.req_id, s.replica FROM s_records AS s SEMI JOIN twice USING (req_id) WHERE s.replica IS NOT NULL;
INSERT INTO x_records
SELECT x.* REPLACE (i.replica AS replica)
FROM x_records AS x
JOIN same_ids AS i ON i.req_id = x.req_id
WHERE x.replica IS NULL
ORDER BY x.req_id, i.replica;
DELETE FROM x_records WHERE replica IS NULL AND req_id IN (FROM same_ids SELECT req_id);
UPDATE x_records SET req_id = replica || '/' || req_id WHERE req_id IN (FROM same_ids SELECT req_id);
UPDATE s_records SET req_id = replica || '/' || req_id
WHERE replica IS NOT NULL AND req_id IN (FROM same_ids SELECT req_id);
INSERT INTO notes
SELECT -1, 'notice', 'same-request-id',
       format('{} request id{} served by several replicas: told apart as replica/id, as in {}', count(DISTINCT req_id),
              CASE WHEN count(DISTINCT req_id) = 1 THEN ' was' ELSE 's were' END, min(replica || '/' || req_id))
FROM same_ids
HAVING count(*) > 0;
DROP TABLE same_ids;
CREATE TEMP TABLE moved AS
SELECT source_id, line, req_id
FROM x_records
QUALIFY row_number() OVER (PARTITION BY req_id ORDER BY admitted_ns NULLS LAST, replica NULLS LAST, source_id, line) > 1;
DELETE FROM x_records WHERE (source_id, line, req_id) IN (FROM moved);
INSERT INTO ignored
SELECT source_id, 'x record of a request that had been admitted before, on another replica', count(*) FROM moved GROUP BY source_id;
UPDATE sources SET parsed = parsed - d.n, rows = rows - d.n, ignored = ignored + d.n
FROM (SELECT source_id, count(*) AS n FROM moved GROUP BY source_id) AS d
WHERE sources.source_id = d.source_id;
DROP TABLE moved;

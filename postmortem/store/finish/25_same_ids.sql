-- Request ids that several replicas served: mirrored traffic, or ids that clients give. Where two replicas recorded more
-- than one common step of an id, or another token at one, these are two requests, told apart as replica/id. One that was
-- handed from one replica to another stays one: a step at most is told by both.
CREATE TEMP TABLE same_ids AS
WITH several AS (
    SELECT req_id FROM s_records WHERE req_id IS NOT NULL GROUP BY req_id HAVING min(replica) <> max(replica)
), twice AS (
    SELECT req_id, count(DISTINCT token_id) AS tokens
    FROM s_records SEMI JOIN several USING (req_id)
    WHERE step IS NOT NULL
    GROUP BY req_id, step
    HAVING min(replica) <> max(replica)
)
SELECT DISTINCT s.req_id, s.replica
FROM s_records AS s
SEMI JOIN (SELECT req_id FROM twice GROUP BY req_id HAVING count(*) > 1 OR max(tokens) > 1) AS t USING (req_id)
WHERE s.replica IS NOT NULL;
-- A request has one x record. Of several those of a replica that served it come first, then those that tell the effective
-- text, then the first admitted; each field is that of the first which has it. One of no such replica (a gateway's) is
-- every one's of its id.
CREATE TEMP TABLE crowded AS
SELECT req_id FROM x_records GROUP BY req_id HAVING count(*) > 1 UNION SELECT req_id FROM same_ids;
CREATE TEMP TABLE merged AS
WITH served AS (
    SELECT DISTINCT req_id, replica FROM s_records SEMI JOIN crowded USING (req_id) WHERE replica IS NOT NULL
), told AS (
    SELECT x.*, v.replica IS NOT NULL AS serves
    FROM x_records AS x
    SEMI JOIN crowded AS c USING (req_id)
    LEFT JOIN served AS v ON v.req_id = x.req_id AND v.replica = x.replica
), whose AS (
    SELECT t.* REPLACE (i.replica || '/' || t.req_id AS req_id, i.replica AS replica)
    FROM told AS t
    JOIN same_ids AS i ON i.req_id = t.req_id AND (i.replica = t.replica OR NOT t.serves)
    UNION ALL
    FROM told WHERE req_id NOT IN (FROM same_ids SELECT req_id)
), placed AS (
    SELECT * EXCLUDE (serves), row_number() OVER (
        PARTITION BY req_id
        ORDER BY serves DESC, effective_text_sha256 IS NULL, admitted_ns NULLS LAST, replica NULLS LAST, source_id, line
    ) AS place
    FROM whose
)
SELECT arg_min(COLUMNS(* EXCLUDE (place)), place) FROM placed GROUP BY req_id ORDER BY req_id;
CREATE TEMP TABLE before AS SELECT source_id, line FROM x_records SEMI JOIN crowded USING (req_id);
DELETE FROM x_records WHERE req_id IN (FROM crowded);
INSERT INTO x_records FROM merged;
UPDATE s_records SET req_id = replica || '/' || req_id
WHERE replica IS NOT NULL AND req_id IN (FROM same_ids SELECT req_id);
CREATE TEMP TABLE taken_in AS
SELECT source_id, count(*) AS n FROM before ANTI JOIN x_records USING (source_id, line) GROUP BY source_id;
INSERT INTO ignored SELECT source_id, 'x record of a request that another one tells of: what it adds is kept', n FROM taken_in;
UPDATE sources SET parsed = parsed - t.n, rows = rows - t.n, ignored = ignored + t.n
FROM taken_in AS t
WHERE sources.source_id = t.source_id;
INSERT INTO notes
SELECT -1, 'notice', 'same-request-id',
       format('{} request id{} served by several replicas: told apart as replica/id, as in {}', count(DISTINCT req_id),
              CASE WHEN count(DISTINCT req_id) = 1 THEN ' was' ELSE 's were' END, min(replica || '/' || req_id))
FROM same_ids
HAVING count(*) > 0;
DROP TABLE same_ids;
DROP TABLE crowded;
DROP TABLE merged;
DROP TABLE before;
DROP TABLE taken_in;

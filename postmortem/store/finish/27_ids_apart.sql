-- An engine may lengthen the id that its gateway gave: 7 becomes cmpl-7, or cmpl-7-0, or 0_cmpl-7 for one of several samples.
-- Nothing joins two such ids, so that the request seems to lack its x record, and the x record its steps: it is said.
INSERT INTO notes
WITH unmet AS (
    SELECT DISTINCT s.req_id FROM s_records AS s ANTI JOIN x_records AS x ON x.req_id = s.req_id WHERE s.req_id IS NOT NULL
), ahead AS (
    SELECT req_id, regexp_replace(req_id, '^([0-9]+_|[a-z]+-)', '') AS tail FROM unmet
), cut AS (
    SELECT req_id, unnest([tail, regexp_replace(req_id, '[-_][0-9A-Za-z]+$', ''),
                           regexp_replace(tail, '[-_][0-9A-Za-z]+$', '')]) AS shorter
    FROM ahead
), alike AS (
    SELECT c.req_id AS longer, x.req_id AS shorter
    FROM cut AS c
    JOIN x_records AS x ON x.req_id = c.shorter
    ANTI JOIN s_records AS s ON s.req_id = x.req_id
)
SELECT -1, 'data_loss', 'ids-apart',
       format('{} request{} of s records without an x record, and x records without steps, have the same id but for a part '
              'that an engine adds, as {}: record both under one id, or nothing joins them',
              count(DISTINCT longer), CASE WHEN count(DISTINCT longer) = 1 THEN '' ELSE 's' END,
              min(longer || ' and ' || shorter))
FROM alike
HAVING count(*) > 0;

-- uses: _shared/steps, _shared/shape_key
-- One row a replica and iteration: the KV lengths of its sequences, from the shapes (k=) of their s records, added up;
-- where no request's record has one, of a record of the whole batch (b= times k=).
CREATE VIEW kv_lengths AS
WITH each AS (
    SELECT replica, iteration, count(*) AS sequences, sum(k) AS kv_tokens, max(k) AS longest
    FROM (  -- several tokens of one request in one iteration read its cache once
        SELECT replica, iteration, req_id, max(shape_key(shape, 'k')) AS k
        FROM steps
        WHERE replica IS NOT NULL AND iteration IS NOT NULL
        GROUP BY replica, iteration, req_id
    )
    WHERE k IS NOT NULL
    GROUP BY replica, iteration
), whole AS (
    SELECT replica, iteration, max(b) AS sequences, max(b * k) AS kv_tokens, max(k) AS longest
    FROM (SELECT replica, iteration, shape_key(shape, 'k') AS k, shape_key(shape, 'b') AS b FROM s_records WHERE req_id IS NULL)
    WHERE b * k IS NOT NULL AND replica IS NOT NULL AND iteration IS NOT NULL
    GROUP BY replica, iteration
)
SELECT coalesce(e.replica, w.replica) AS replica, coalesce(e.iteration, w.iteration) AS iteration,
       coalesce(e.sequences, w.sequences) AS sequences, CAST(coalesce(e.kv_tokens, w.kv_tokens) AS BIGINT) AS kv_tokens,
       coalesce(e.longest, w.longest) AS longest
FROM each AS e
FULL JOIN whole AS w ON w.replica = e.replica AND w.iteration = e.iteration

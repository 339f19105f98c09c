-- uses: _shared/steps, _shared/shape_key, _shared/padded
-- The KV tokens of each replica and iteration whose requests' shapes tell them (k=), and the same rounded up, sequence by
-- sequence, to whole fragments. One row a replica and iteration.
CREATE MACRO kv_fragments(fragment) AS TABLE
SELECT replica, iteration, sum(k) AS kv_tokens, sum(padded(k, fragment)) AS kv_padded
FROM (  -- several tokens of one request in one iteration read its cache once
    SELECT replica, iteration, max(shape_key(shape, 'k')) AS k
    FROM steps
    WHERE replica IS NOT NULL AND iteration IS NOT NULL
    GROUP BY replica, iteration, req_id
)
WHERE k IS NOT NULL
GROUP BY replica, iteration

-- uses: _shared/engine_iterations, _shared/kv_lengths, _shared/steps, _shared/shape_key, _shared/shape_rest
-- One row a replica and iteration: its shape. tokens are the rows that its matrix products multiply: one a sequence of
-- the batch (batch_size, else b=), and for a sequence whose shape says so its query length q=. longest is the longest
-- KV length of the batch; rest what the shapes say beside (h=, d=, tp=), as most of its records have it.
-- A prompt's chunk in the same batch counts as one token: its length is not recorded.
CREATE VIEW iteration_shapes AS
WITH told AS (
    -- several tokens of one request in one iteration are of one pass
    SELECT replica, iteration, true AS asked, greatest(coalesce(max(shape_key(shape, 'q')), 1), 1) AS q,
           max(shape_key(shape, 'b')) AS b, min(shape_rest(shape)) AS rest
    FROM steps
    WHERE shape IS NOT NULL AND replica IS NOT NULL AND iteration IS NOT NULL
    GROUP BY replica, iteration, req_id
    UNION ALL
    SELECT replica, iteration, false, greatest(coalesce(shape_key(shape, 'q'), 1), 1), shape_key(shape, 'b'), shape_rest(shape)
    FROM s_records
    WHERE req_id IS NULL AND shape IS NOT NULL AND replica IS NOT NULL AND iteration IS NOT NULL
), shapes AS (
    SELECT replica, iteration, max(b) AS b, bool_or(asked) AS asked, sum(q - 1) FILTER (WHERE asked) AS more, max(q) AS q,
           mode(rest ORDER BY rest) AS rest
    FROM told
    GROUP BY replica, iteration
)
SELECT e.replica, e.iteration, e.ts_ns, coalesce(e.batch_size, s.b) AS batch_size,
       TRY_CAST(CASE WHEN s.asked THEN coalesce(e.batch_size, s.b) + s.more
                 ELSE CAST(coalesce(e.batch_size, s.b) AS HUGEINT) * coalesce(s.q, 1) END AS BIGINT) AS tokens,
       k.longest, s.rest
FROM engine_iterations AS e
LEFT JOIN shapes AS s ON s.replica = e.replica AND s.iteration = e.iteration
LEFT JOIN kv_lengths AS k ON k.replica = e.replica AND k.iteration = e.iteration

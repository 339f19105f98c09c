-- How full the matrix unit's fragments were, by shape class.
-- One row a replica and shape class: the tokens multiplied at once to the fragment (16: all of one fragment; 17-31: a
-- second one begun), the longest KV length to a doubling, and what else the shape says. Products run in whole fragments,
-- so that 17 tokens fill 17/32 along that dimension. It can't tell the tile that a kernel laid over the fragments
-- (gemm_tactics), nor the length of a prompt's chunk in the batch. See fragment_iterations for the trend.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: fragment BIGINT elements = 16 — side of the matrix unit's fragment (CUDA C++ Programming Guide, WMMA: 16x16x16)
-- column: replica VARCHAR - — replica
-- column: shape_class VARCHAR - — tokens to the fragment, longest KV length to a doubling, and what else the shape says
-- column: iterations BIGINT iterations — of this shape
-- column: least_tokens BIGINT tokens — fewest multiplied at once
-- column: most_tokens BIGINT tokens — most
-- column: utilisation DOUBLE share — of the fragments' rows along the tokens that hold any, over its iterations
-- column: last_fragment DOUBLE share — of the last fragment, mean over its iterations
-- column: kv_utilisation DOUBLE share — along the KV length, over the sequences whose length is recorded; NULL: none is, or all are 0
-- column: hidden_utilisation DOUBLE share — along a rank's part of the hidden dimension (d/tp); NULL: d= not recorded
-- column: first_iteration BIGINT - — the first of this shape
-- column: last_iteration BIGINT - — the last
-- needs: s_records(replica, iteration, batch_size, shape)
-- uses: _shared/iteration_shapes, _shared/kv_fragments, _shared/shape_class, _shared/shape_key, _shared/padded
WITH shaped AS (
    SELECT i.*, shape_class(i.tokens, i.longest, i.rest, $fragment) AS shape_class, v.kv_tokens, v.kv_padded,
           nullif(shape_key(i.rest, 'd'), 0) / nullif(coalesce(shape_key(i.rest, 'tp'), 1), 0) AS hidden
    FROM iteration_shapes AS i
    LEFT JOIN kv_fragments($fragment) AS v ON v.replica = i.replica AND v.iteration = i.iteration
    WHERE i.tokens > 0 AND ($replica IS NULL OR i.replica = $replica)
)
SELECT replica, shape_class, count(*) AS iterations, min(tokens) AS least_tokens, max(tokens) AS most_tokens,
       CAST(sum(tokens) / sum(padded(tokens, $fragment)) AS DOUBLE) AS utilisation,
       avg(((tokens - 1) % $fragment + 1) / $fragment) AS last_fragment,
       CAST(sum(kv_tokens) / nullif(sum(kv_padded), 0) AS DOUBLE) AS kv_utilisation,
       max(hidden / padded(CAST(ceil(hidden) AS BIGINT), $fragment)) AS hidden_utilisation,
       min(iteration) AS first_iteration, max(iteration) AS last_iteration
FROM shaped
GROUP BY replica, shape_class
ORDER BY replica, iterations DESC, shape_class

-- How full the matrix unit's fragments were, iteration by iteration: for the trend.
-- One row a replica and iteration whose number of tokens is known. Products run in whole fragments: 17 tokens cost as many
-- as 32. It can't tell the tile that a kernel laid over them (gemm_tactics reads it off kernel names), nor the length of
-- a prompt's chunk in the batch, which counts as one token.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: fragment BIGINT elements = 16 — side of the matrix unit's fragment (CUDA C++ Programming Guide, WMMA: 16x16x16)
-- column: replica VARCHAR - — replica
-- column: iteration BIGINT - — the engine's step counter
-- column: start_ns BIGINT ns — start, UTC epoch; NULL: not recorded
-- column: phase VARCHAR - — calm or pressured (see tactic_mix); NULL: nothing recorded tells the regime
-- column: shape_class VARCHAR - — tokens to the fragment, longest KV length to a doubling, and what else the shape says
-- column: batch_size BIGINT sequences — in the batch
-- column: tokens BIGINT tokens — multiplied at once: the batch, and further query tokens where the shape tells them (q=)
-- column: padded BIGINT tokens — what they cost: rounded up to whole fragments
-- column: utilisation DOUBLE share — of the fragments' rows along the tokens that hold any: tokens / padded
-- column: last_fragment DOUBLE share — of the last fragment
-- column: kv_utilisation DOUBLE share — along the KV length, over the sequences whose length is recorded; NULL: none is, or all are 0
-- column: algo_id VARCHAR - — the tactic that most of its requests report
-- needs: s_records(replica, iteration, batch_size, shape)
-- uses: _shared/iteration_shapes, _shared/iteration_phases, _shared/engine_iterations, _shared/kv_fragments
-- uses: _shared/shape_class, _shared/padded
SELECT i.replica, i.iteration, i.ts_ns AS start_ns, p.phase, shape_class(i.tokens, i.longest, i.rest, $fragment) AS shape_class,
       i.batch_size, i.tokens, padded(i.tokens, $fragment) AS padded, i.tokens / padded(i.tokens, $fragment) AS utilisation,
       ((i.tokens - 1) % $fragment + 1) / $fragment AS last_fragment, v.kv_tokens / nullif(v.kv_padded, 0) AS kv_utilisation, e.algo_id
FROM iteration_shapes AS i
JOIN engine_iterations AS e ON e.replica = i.replica AND e.iteration = i.iteration
LEFT JOIN iteration_phases AS p ON p.replica = i.replica AND p.iteration = i.iteration
LEFT JOIN kv_fragments($fragment) AS v ON v.replica = i.replica AND v.iteration = i.iteration
WHERE i.tokens > 0 AND ($replica IS NULL OR i.replica = $replica)
ORDER BY i.replica, i.iteration

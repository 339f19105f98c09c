-- Which tactic each rank ran, at which shape, with how much workspace free.
-- One row a replica, rank and iteration whose tactic was recorded. Shape classes are those of tactic_mix. It can't tell how
-- much workspace a tactic wants: see workspace_threshold for where it was no longer chosen.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: fragment BIGINT elements = 16 — side of the matrix unit's fragment (see tactic_mix)
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank; NULL: the engine's own view, where no rank made records
-- column: iteration BIGINT - — the engine's step counter
-- column: shape_class VARCHAR - — tokens, KV length, and what else the shape says; NULL: no shape recorded
-- column: algo_id VARCHAR - — tactic that ran
-- column: kernel_variant VARCHAR - — its kernel
-- column: expected_algo_id VARCHAR - — tactic planned
-- column: fallback_reason VARCHAR - — why another ran
-- column: workspace_free_mb DOUBLE MiB — free workspace
-- needs: s_records(replica, iteration, algo_id)
-- uses: _shared/rank_states, _shared/iteration_shapes, _shared/shape_class
SELECT r.replica, r.rank, r.iteration, shape_class(i.tokens, i.longest, i.rest, $fragment) AS shape_class, r.algo_id,
       r.kernel_variant, r.expected_algo_id, r.fallback_reason, r.workspace_free_mb
FROM rank_states AS r
LEFT JOIN iteration_shapes AS i ON i.replica = r.replica AND i.iteration = r.iteration
WHERE (r.algo_id IS NOT NULL OR r.kernel_variant IS NOT NULL) AND ($replica IS NULL OR r.replica = $replica)
ORDER BY r.replica, r.rank NULLS FIRST, r.iteration

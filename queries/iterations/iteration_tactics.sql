-- Which tactic each iteration ran, at which shape, calm or pressured.
-- One row a replica, iteration and tactic: usually one of an iteration, which chose it for its whole batch. Phases, shape
-- classes and parameters are those of tactic_mix, which counts these rows. It can't tell steps without an iteration.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: fragment BIGINT elements = 16 — side of the matrix unit's fragment (see tactic_mix)
-- param: first_iteration BIGINT - = NULL — pressured from this iteration on; NULL: by the regime, or open
-- param: last_iteration BIGINT - = NULL — pressured up to this iteration; NULL: by the regime, or open
-- column: replica VARCHAR - — replica
-- column: iteration BIGINT - — the engine's step counter
-- column: phase VARCHAR - — calm or pressured; NULL: nothing recorded tells the regime
-- column: shape_class VARCHAR - — tokens, KV length, and what else the shape says; NULL: no shape recorded
-- column: algo_id VARCHAR - — tactic that ran
-- column: kernel_variant VARCHAR - — its kernel
-- column: steps BIGINT steps — decode steps of requests that ran it (of ranks, where no request recorded a tactic)
-- needs: s_records(replica, iteration, algo_id)
-- uses: _shared/tactic_steps, _shared/shape_class, _shared/phase_within
SELECT replica, iteration, phase_within(iteration, any_value(phase), $first_iteration, $last_iteration) AS phase,
       shape_class(any_value(tokens), any_value(longest), any_value(rest), $fragment) AS shape_class, algo_id, kernel_variant,
       count(*) AS steps
FROM tactic_steps
WHERE replica IS NOT NULL AND iteration IS NOT NULL AND ($replica IS NULL OR replica = $replica)
GROUP BY replica, iteration, algo_id, kernel_variant
ORDER BY replica, iteration, steps DESC, algo_id, kernel_variant

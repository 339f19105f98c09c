-- Which tactics ran, at which shapes, calm and pressured: the algorithm histogram.
-- One row a replica, phase, shape class and tactic. Calm are the iterations in the regime normal (of a replica that never
-- was: in the mildest of its several regimes), pressured all others; with first_iteration or last_iteration, pressured is
-- that window and calm the rest. A shape class is the tokens multiplied at once, to the fragment, the longest KV length,
-- to a doubling, and what else the shape says; fragment=1 takes each number of tokens as a class of its own.
-- It can't tell tactics of single operators within a step: the record holds one. See tactic_shift for how far they moved.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- param: fragment BIGINT elements = 16 — side of the matrix unit's fragment (CUDA C++ Programming Guide, WMMA: 16x16x16)
-- param: first_iteration BIGINT - = NULL — pressured from this iteration on; NULL: by the regime, or open
-- param: last_iteration BIGINT - = NULL — pressured up to this iteration; NULL: by the regime, or open
-- column: replica VARCHAR - — replica
-- column: phase VARCHAR - — calm or pressured; NULL: nothing recorded tells the regime
-- column: shape_class VARCHAR - — tokens, KV length, and what else the shape says; NULL: no shape recorded
-- column: algo_id VARCHAR - — tactic that ran
-- column: kernel_variant VARCHAR - — its kernel
-- column: steps BIGINT steps — decode steps of requests that ran it (of ranks, where no request recorded a tactic)
-- column: iterations BIGINT iterations — that these were in
-- column: share DOUBLE share — of the steps of this replica, phase and shape class
-- column: phase_share DOUBLE share — of all steps of this replica and phase
-- needs: s_records(algo_id)
-- uses: _shared/tactic_steps, _shared/shape_class, _shared/phase_within
WITH told AS (
    SELECT replica, phase_within(iteration, phase, $first_iteration, $last_iteration) AS phase,
           shape_class(tokens, longest, rest, $fragment) AS shape_class, algo_id, kernel_variant, iteration
    FROM tactic_steps
    WHERE $replica IS NULL OR replica = $replica
)
SELECT replica, phase, shape_class, algo_id, kernel_variant, count(*) AS steps, count(DISTINCT iteration) AS iterations,
       count(*) / sum(count(*)) OVER (PARTITION BY replica, phase, shape_class) AS share,
       count(*) / sum(count(*)) OVER (PARTITION BY replica, phase) AS phase_share
FROM told
GROUP BY replica, phase, shape_class, algo_id, kernel_variant
ORDER BY replica, phase, shape_class, steps DESC, algo_id, kernel_variant

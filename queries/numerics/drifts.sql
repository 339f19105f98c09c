-- Drift: requests whose tokens are their reference's as far as compared, while margins moved.
-- One row a request with a moved margin before its first other token, if any. Drift is no flip: the text is the same,
-- and the same step was decided less (or more) clearly. It can't tell drift of steps without a margin.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all
-- column: req_id VARCHAR - — request
-- column: reference VARCHAR - — request that it is compared with
-- column: flipped BOOLEAN - — whether a later token differs
-- column: steps BIGINT steps — compared, before the first other token
-- column: moved_steps BIGINT steps — of them, with another margin
-- column: moved_same_plan BIGINT steps — of those, in the reference's own tactic and precision
-- column: first_step BIGINT - — first of them
-- column: median_moved DOUBLE logits — median of the absolute moves
-- column: most_moved DOUBLE logits — largest
-- column: most_step BIGINT - — step of the largest, the first such
-- column: tactic VARCHAR - — algo_id that ran there
-- column: reference_tactic VARCHAR - — algo_id that the reference ran there
-- column: most_lost DOUBLE ratio — largest part of a reference's margin that a move took; at 1 the two were even
-- needs: s_records(req_id, step, margin)
-- uses: _shared/margin_moves
WITH kept AS (
    SELECT *, bool_or(flipped) OVER (PARTITION BY req_id) AS later
    FROM margin_moves
    WHERE $req_id IS NULL OR req_id = $req_id
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY req_id ORDER BY abs(moved) DESC NULLS LAST, step) AS place
    FROM kept
    WHERE NOT flipped AND moved IS NOT NULL
)
SELECT req_id, reference, later AS flipped, count(*) AS steps, count(*) FILTER (WHERE moved <> 0) AS moved_steps,
       count(*) FILTER (WHERE moved <> 0 AND NOT other_plan) AS moved_same_plan,
       min(step) FILTER (WHERE moved <> 0) AS first_step,
       median(abs(moved)) FILTER (WHERE moved <> 0) AS median_moved, max(abs(moved)) AS most_moved,
       any_value(step) FILTER (WHERE place = 1) AS most_step,
       any_value(tactic) FILTER (WHERE place = 1) AS tactic,
       any_value(reference_tactic) FILTER (WHERE place = 1) AS reference_tactic,
       max(moved / nullif(reference_margin, 0)) AS most_lost
FROM placed
GROUP BY req_id, reference, later
HAVING count(*) FILTER (WHERE moved <> 0) > 0
ORDER BY most_lost DESC NULLS LAST, req_id

-- How far each step's margin moved from its reference's, up to the first other token.
-- One row a request and step that its reference recorded with a margin. Greedy decoding keeps its token while moved is
-- less than the reference's margin. It can't tell what moved it: see other_plan, and plan_noise_between.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all
-- column: req_id VARCHAR - — request
-- column: reference VARCHAR - — request that it is compared with
-- column: step BIGINT - — decode step
-- column: replica VARCHAR - — replica
-- column: iteration BIGINT - — iteration that ran it
-- column: tactic VARCHAR - — algo_id that ran
-- column: reference_tactic VARCHAR - — algo_id that the reference ran
-- column: precision VARCHAR - — precision that ran
-- column: reference_precision VARCHAR - — precision that the reference ran
-- column: margin DOUBLE logits — its margin
-- column: reference_margin DOUBLE logits — the reference's
-- column: moved DOUBLE logits — what the reference's lost; above it, the token changed; NULL: a third token won, or no margin
-- column: flipped BOOLEAN - — whether the tokens differ
-- column: other_plan BOOLEAN - — whether tactic or precision differs; false where not recorded
-- column: after_other BOOLEAN - — whether they differed at an earlier step, whose keys and values this one reads
-- needs: s_records(req_id, step, margin)
-- uses: _shared/margin_moves
SELECT req_id, reference, step, replica, iteration, tactic, reference_tactic, precision, reference_precision, margin,
       reference_margin, moved, flipped, other_plan, after_other
FROM margin_moves
WHERE reference_margin IS NOT NULL AND ($req_id IS NULL OR req_id = $req_id)
ORDER BY req_id, step

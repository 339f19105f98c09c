-- One request, step by step: the token, its margin, the batch and the tactic that made it.
-- One row a decode step of the request.
-- param: req_id VARCHAR - = NULL — the request; NULL: all
-- column: req_id VARCHAR - — request
-- column: step BIGINT - — decode step, 0 = first generated token
-- column: iteration BIGINT - — the engine's step counter
-- column: ts_ns BIGINT ns — start of the step, UTC epoch
-- column: replica VARCHAR - — replica
-- column: batch_size BIGINT sequences — in the batch
-- column: shape VARCHAR - — shape as recorded
-- column: algo_id VARCHAR - — tactic that ran
-- column: expected_algo_id VARCHAR - — tactic planned
-- column: fallback_reason VARCHAR - — why another ran than planned
-- column: workspace_free_mb DOUBLE MiB — workspace free
-- column: kernel_variant VARCHAR - — its kernel
-- column: precision_path VARCHAR - — precision that ran
-- column: token_id BIGINT - — chosen token
-- column: top2_token_id BIGINT - — runner-up
-- column: margin DOUBLE logits — logit of the chosen minus logit of the runner-up
-- needs: s_records(req_id, step)
-- uses: _shared/steps
SELECT req_id, step, iteration, ts_ns, replica, batch_size, shape, algo_id, expected_algo_id, fallback_reason,
       workspace_free_mb, kernel_variant,
       precision_path, token_id, top2_token_id, margin
FROM steps
WHERE $req_id IS NULL OR req_id = $req_id
ORDER BY req_id, step

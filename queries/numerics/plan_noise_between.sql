-- How far a step's margin moves when another plan runs it: the numeric noise between tactics, measured.
-- One row a plan and its reference's plan, over all replays up to their first differing token. Where both plans are
-- the same, it is the noise that is there anyway. It can't tell pairs that no replay ran.
-- column: tactic VARCHAR - — algo_id that ran
-- column: reference_tactic VARCHAR - — algo_id that the reference ran at the same step
-- column: precision VARCHAR - — precision that ran; NULL: not recorded
-- column: reference_precision VARCHAR - — precision that the reference ran
-- column: steps BIGINT steps — compared
-- column: requests BIGINT requests — that they are of
-- column: median_moved DOUBLE logits — median of the absolute difference of the margins
-- column: p95_moved DOUBLE logits — its 95th percentile
-- column: p99_moved DOUBLE logits — its 99th percentile
-- column: most_moved DOUBLE logits — its largest
-- needs: s_records(req_id, step, algo_id, margin)
-- uses: _shared/plan_noise
SELECT tactic, reference_tactic, precision, reference_precision, steps, requests, median_moved, p95_moved, p99_moved,
       most_moved
FROM plan_noise
ORDER BY steps DESC, tactic, reference_tactic, precision, reference_precision

-- How loaded each iteration was, and how its steps fared against their references.
-- One row a replica and iteration with a step that its reference recorded too, up to the first other token.
-- It can't tell steps without a reference, nor those after a flip: they decode another text.
-- column: replica VARCHAR - — replica
-- column: iteration BIGINT - — the engine's step counter
-- column: concurrency BIGINT requests — in the batch or waiting for it; NULL: no wait is recorded
-- column: queue_ms DOUBLE ms — 95th percentile of the queue as the engine says it, else the median wait of its requests
-- column: free_mb DOUBLE MiB — free memory of the fullest rank, pins taken off
-- column: steps BIGINT steps — compared
-- column: planned BIGINT steps — of them, whose tactic or precision is recorded, as is their reference's
-- column: churned BIGINT steps — of those, that ran another tactic or precision than their reference
-- column: flips BIGINT steps — of them, at which the token first differs
-- needs: s_records(req_id, step, iteration, token_id)
-- uses: _shared/margin_moves, _shared/engine_iterations, _shared/waits, _shared/request_runs, _shared/rank_states
WITH fared AS (
    SELECT replica, iteration, count(*) AS steps,
           count(*) FILTER (WHERE tactic IS NOT NULL AND reference_tactic IS NOT NULL
                                  OR precision IS NOT NULL AND reference_precision IS NOT NULL) AS planned,
           count(*) FILTER (WHERE other_plan) AS churned, count(*) FILTER (WHERE flipped) AS flips
    FROM margin_moves
    WHERE replica IS NOT NULL AND iteration IS NOT NULL
    GROUP BY replica, iteration
), free AS (
    SELECT replica, iteration, min(vram_free_mb - coalesce(isr_pinned_mb, 0) - coalesce(ckpt_pinned_mb, 0)) AS free_mb
    FROM rank_states
    GROUP BY replica, iteration
), told AS (
    SELECT DISTINCT replica FROM request_runs WHERE queue_ms IS NOT NULL
)
SELECT f.replica, f.iteration, CASE WHEN t.replica IS NOT NULL THEN e.batch_size + coalesce(w.waiting, 0) END AS concurrency,
       coalesce(e.queue_p95_ms, e.queue_ms) AS queue_ms, m.free_mb, f.steps, f.planned, f.churned, f.flips
FROM fared AS f
LEFT JOIN engine_iterations AS e ON e.replica = f.replica AND e.iteration = f.iteration
LEFT JOIN waits AS w ON w.replica = f.replica AND w.iteration = f.iteration
LEFT JOIN told AS t ON t.replica = f.replica
LEFT JOIN free AS m ON m.replica = f.replica AND m.iteration = f.iteration
ORDER BY f.replica, f.iteration

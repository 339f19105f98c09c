-- Ranks that ran another pathway than their peers: tactic, precision, or dequantisation.
-- One row an unbroken stretch of iterations in which a rank had another value than most of the other ranks. Where as
-- many have either, the odd one is the rank that left what the replica usually runs. It can't tell ranks that made no
-- record, nor a pathway that all ranks changed at once.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — the odd rank
-- column: aspect VARCHAR - — tactic, precision or dequantisation
-- column: first_iteration BIGINT - — its first iteration
-- column: last_iteration BIGINT - — its last
-- column: iterations BIGINT iterations — recorded in it
-- column: value VARCHAR - — what it ran; of dequantisation: on or off
-- column: peers_value VARCHAR - — what most of the others ran
-- column: peers BIGINT ranks — how many others recorded it
-- column: fallback_reason VARCHAR - — as recorded by the rank in the first of them that says one
-- needs: s_records(replica, rank, iteration)
-- uses: _shared/rank_states
WITH sides AS (
    SELECT replica, rank, iteration, fallback_reason, unnest([
        {'aspect': 'tactic', 'value': algo_id},
        {'aspect': 'precision', 'value': precision_path},
        {'aspect': 'dequantisation', 'value': CASE WHEN dequant_cycles > 0 THEN 'on' WHEN dequant_cycles = 0 THEN 'off' END}
    ], recursive := true)
    FROM rank_states
    WHERE rank IS NOT NULL
), told AS (
    SELECT * FROM sides WHERE value IS NOT NULL
), usual AS (
    SELECT replica, aspect, mode(value ORDER BY value) AS usual FROM told GROUP BY replica, aspect
), counted AS (
    SELECT replica, aspect, iteration, value, count(*) AS alike FROM told GROUP BY replica, aspect, iteration, value
), totals AS (
    -- most frequent values of an iteration, the two most frequent of them by name
    SELECT replica, aspect, iteration, sum(alike) AS ranks, arg_max(value, (alike, value), 2) AS tops
    FROM counted
    GROUP BY replica, aspect, iteration
    HAVING count(*) > 1
), odd AS (
    SELECT t.replica, t.rank, t.aspect, t.iteration, t.value, t.fallback_reason, c.ranks - 1 AS peers,
           CASE WHEN c.tops[1] = t.value THEN c.tops[2] ELSE c.tops[1] END AS peers_value
    FROM told AS t
    JOIN totals AS c ON c.replica = t.replica AND c.aspect = t.aspect AND c.iteration = t.iteration
    JOIN counted AS n ON n.replica = t.replica AND n.aspect = t.aspect AND n.iteration = t.iteration AND n.value = t.value
    JOIN usual AS u ON u.replica = t.replica AND u.aspect = t.aspect
    WHERE 2 * n.alike < c.ranks OR (2 * n.alike = c.ranks AND t.value <> u.usual)
), laps AS (
    SELECT replica, rank, iteration, row_number() OVER (PARTITION BY replica, rank ORDER BY iteration) AS lap
    FROM rank_states
    WHERE rank IS NOT NULL
)
SELECT n.replica, n.rank, n.aspect, min(n.iteration) AS first_iteration, max(n.iteration) AS last_iteration,
       count(*) AS iterations, n.value, n.peers_value, CAST(min(n.peers) AS BIGINT) AS peers,
       arg_min(n.fallback_reason, n.iteration) AS fallback_reason
FROM (SELECT *, row_number() OVER (PARTITION BY replica, rank, aspect, value, peers_value ORDER BY iteration) AS run FROM odd) AS n
JOIN laps AS l ON l.replica = n.replica AND l.rank = n.rank AND l.iteration = n.iteration
WHERE $replica IS NULL OR n.replica = $replica
GROUP BY n.replica, n.rank, n.aspect, n.value, n.peers_value, l.lap - n.run
ORDER BY n.replica, first_iteration, n.rank, n.aspect, n.value, n.peers_value

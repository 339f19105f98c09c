-- How long each rank and each replica spent in each regime, and how often it entered it.
-- One row a replica, rank (NULL: the replica) and regime. An iteration counts until the next
-- one begins: an engine that idles stays in the regime that it was left in. It can't tell what passed in between.
-- param: replica VARCHAR - = NULL — only this replica; NULL: all
-- column: replica VARCHAR - — replica
-- column: rank INTEGER - — rank; NULL: the replica
-- column: regime VARCHAR - — regime
-- column: times BIGINT entries — stretches of it
-- column: iterations BIGINT iterations — recorded in it
-- column: total_ns BIGINT ns — time in it
-- column: share DOUBLE share — of the time in any regime; NULL: none passed
-- needs: s_records(replica, iteration, ts_ns)
-- uses: _shared/regime_spans
SELECT replica, rank, regime, count(*) AS times, CAST(sum(iterations) AS BIGINT) AS iterations,
       CAST(sum(end_ns - start_ns) AS BIGINT) AS total_ns,
       total_ns / nullif(sum(total_ns) OVER (PARTITION BY replica, rank), 0) AS share
FROM regime_spans
WHERE $replica IS NULL OR replica = $replica
GROUP BY replica, rank, regime
ORDER BY replica, rank NULLS FIRST, total_ns DESC, regime

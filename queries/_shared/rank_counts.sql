-- uses: _shared/rank_times
-- One row a replica that has times of a rank: of how many ranks they are, and how many it has at least. More than are
-- here are told by tp= in shapes, by a hole in the numbers, or by collectives of a lone rank.
-- kept: every chain asks for it, and it looks at all shapes
CREATE VIEW rank_counts AS
WITH named AS (
    SELECT replica, max(TRY_CAST(nullif(regexp_extract(shape, '(?:^|,)tp=(\d+)', 1), '') AS BIGINT)) AS tp
    FROM (SELECT DISTINCT replica, shape FROM s_records WHERE shape IS NOT NULL)
    GROUP BY replica
), here AS (
    SELECT replica, count(DISTINCT rank) AS recorded, max(rank) - min(rank) + 1 AS span,
           CASE WHEN count(DISTINCT rank) = 1 AND sum(comm_ns + sync_ns) > 0 THEN 2 ELSE 1 END AS met
    FROM rank_times
    GROUP BY replica
)
SELECT h.replica, recorded, greatest(recorded, span, met, coalesce(tp, 1)) AS ranks
FROM here AS h
LEFT JOIN named AS n ON n.replica = h.replica

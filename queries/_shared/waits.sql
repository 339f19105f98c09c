-- uses: _shared/engine_iterations, _shared/request_keys, _shared/request_runs, _shared/steps
-- One row a replica and iteration that requests waited for without being in it: how many did.
-- A request waits through an iteration that begins and whose predecessor begins within its recorded queue_ms, and
-- through those between two successive steps of its own (it was put aside). Servers differ in what they call admission:
-- where some first token came sooner after admission than its request had waited (by more than a millisecond), waits
-- end there, else they begin there. It can't tell requests that were never served.
-- kept: every chain asks for it, and it looks at all requests
CREATE VIEW waits AS
WITH waited AS (
    SELECT r.replica, r.first_ns, k.admitted_ns, CAST(r.queue_ms * 1e6 AS BIGINT) AS wait_ns
    FROM request_runs AS r
    LEFT JOIN request_keys AS k ON k.req_id = r.req_id
    WHERE r.replica IS NOT NULL AND r.first_ns IS NOT NULL AND r.queue_ms > 0
), served AS (
    SELECT replica, coalesce(bool_or(first_ns - admitted_ns + 1000000 < wait_ns), false) AS admitted_last
    FROM waited
    GROUP BY replica
), spans AS (
    SELECT w.replica,
           CASE WHEN w.admitted_ns IS NULL THEN w.first_ns - w.wait_ns
                WHEN s.admitted_last THEN w.admitted_ns - w.wait_ns ELSE w.admitted_ns END AS from_ns,
           least(w.first_ns, CASE WHEN s.admitted_last THEN w.admitted_ns ELSE w.admitted_ns + w.wait_ns END) AS to_ns
    FROM waited AS w
    JOIN served AS s ON s.replica = w.replica
), numbered AS (
    SELECT replica, iteration, ts_ns, lag(ts_ns) OVER engine AS before_ns, row_number() OVER engine AS n
    FROM engine_iterations
    WHERE ts_ns IS NOT NULL
    WINDOW engine AS (PARTITION BY replica ORDER BY iteration)
), begun AS (
    SELECT s.replica, s.to_ns, i.n AS first_n
    FROM spans AS s
    -- iterations may begin at one time, where the recorder's clock is coarse: from the first of them, to the last
    ASOF JOIN (SELECT replica, before_ns, min(n) AS n FROM numbered GROUP BY replica, before_ns) AS i
        ON i.replica = s.replica AND i.before_ns >= s.from_ns
), whole AS (
    SELECT b.replica, b.first_n, i.n AS last_n
    FROM begun AS b
    ASOF JOIN (SELECT replica, ts_ns, max(n) AS n FROM numbered GROUP BY replica, ts_ns) AS i
        ON i.replica = b.replica AND i.ts_ns < b.to_ns
), follows AS (
    SELECT replica, step, iteration, lead(step) OVER own AS next_step, lead(iteration) OVER own AS next_iteration
    FROM steps
    WHERE iteration IS NOT NULL
    WINDOW own AS (PARTITION BY req_id ORDER BY step)
), aside AS (
    SELECT f.replica, i.n + 1 AS first_n, j.n - 1 AS last_n
    FROM follows AS f
    JOIN numbered AS i ON i.replica = f.replica AND i.iteration = f.iteration
    JOIN numbered AS j ON j.replica = f.replica AND j.iteration = f.next_iteration
    WHERE f.next_step = f.step + 1 AND f.next_iteration > f.iteration + 1
), changes AS (
    SELECT replica, n, sum(more) AS more
    FROM (
        SELECT replica, first_n AS n, 1 AS more FROM whole WHERE last_n >= first_n
        UNION ALL
        SELECT replica, last_n + 1, -1 FROM whole WHERE last_n >= first_n
        UNION ALL
        SELECT replica, first_n, 1 FROM aside WHERE last_n >= first_n
        UNION ALL
        SELECT replica, last_n + 1, -1 FROM aside WHERE last_n >= first_n
    )
    GROUP BY replica, n
)
SELECT replica, iteration, waiting
FROM (
    SELECT i.replica, i.iteration,
           CAST(sum(coalesce(s.more, 0)) OVER (PARTITION BY i.replica ORDER BY i.n) AS BIGINT) AS waiting
    FROM numbered AS i
    LEFT JOIN changes AS s ON s.replica = i.replica AND s.n = i.n
)
WHERE waiting > 0

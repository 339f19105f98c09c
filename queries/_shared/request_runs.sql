-- uses: _shared/steps
-- One row a request of which s records tell: where and when it ran, over how many steps.
-- kept: every chain starts from it, and it looks at all records
CREATE VIEW request_runs AS
SELECT req_id, min(replica) AS replica, count(*) AS steps, min(iteration) AS first_iteration,
       max(iteration) AS last_iteration, min(ts_ns) AS first_ns, max(ts_ns) AS last_ns, max(queue_ms) AS queue_ms
FROM steps
GROUP BY req_id

-- Two exports of one capture (a copy, or one packed and one not) tell all of it twice: what the later one holds is taken
-- out. No two captures of a rank begin in the same nanosecond, and a slice of one has other ends than the whole.
CREATE TEMP TABLE same_captures AS
SELECT source_id, first_path
FROM (SELECT s.source_id, first_value(s.path) OVER same AS first_path, row_number() OVER same AS place
      FROM sources AS s
      JOIN nsys_sessions AS n USING (source_id)
      WHERE n.start_utc_ns IS NOT NULL AND s.first_ns IS NOT NULL
      WINDOW same AS (PARTITION BY s.replica, s.rank, n.start_utc_ns, s.first_ns, s.last_ns, s.rows ORDER BY s.source_id))
WHERE place > 1;

DELETE FROM kernels WHERE source_id IN (SELECT source_id FROM same_captures);
DELETE FROM cuda_api WHERE source_id IN (SELECT source_id FROM same_captures);
DELETE FROM memcpys WHERE source_id IN (SELECT source_id FROM same_captures);
DELETE FROM memsets WHERE source_id IN (SELECT source_id FROM same_captures);
DELETE FROM synchronizations WHERE source_id IN (SELECT source_id FROM same_captures);
DELETE FROM graph_launches WHERE source_id IN (SELECT source_id FROM same_captures);
DELETE FROM profiler_overhead WHERE source_id IN (SELECT source_id FROM same_captures);
DELETE FROM nvtx_events WHERE source_id IN (SELECT source_id FROM same_captures);
DELETE FROM gpu_metrics WHERE source_id IN (SELECT source_id FROM same_captures);

INSERT INTO notes
SELECT source_id, 'notice', 'same-capture', format('the same capture as {}: its events count once', first_path)
FROM same_captures
ORDER BY source_id;

-- One iteration of a rank in two exports: its counter began again, or two engines bear one name; or they are parts of one
-- capture that overlap. A large table has no column yet in which nothing stands.
INSERT INTO notes
WITH told AS (
    SELECT CAST(NULL AS INTEGER) AS source_id, CAST(NULL AS VARCHAR) AS kind, CAST(NULL AS VARCHAR) AS keys WHERE false
    UNION ALL BY NAME
    FROM nvtx_events
), laps AS (
    SELECT DISTINCT t.source_id, s.path, s.replica, s.rank, n.start_utc_ns, TRY_CAST(t.keys->>'$.n' AS BIGINT) AS iteration
    FROM told AS t
    JOIN sources AS s USING (source_id)
    JOIN nsys_sessions AS n USING (source_id)
    WHERE t.kind = 'iteration' AND s.rank IS NOT NULL
)
SELECT -1, 'data_loss', 'iterations-begun-again',
       format('{}rank {}: iterations {} to {} are in {} and in {}: {}', coalesce('replica ' || a.replica || ', ', ''), a.rank,
              min(a.iteration), max(a.iteration), a.path, b.path,
              CASE WHEN a.start_utc_ns = b.start_utc_ns THEN 'parts of one capture, and what is in both counts twice: leave one out'
                   ELSE 'its counter began again, or two engines bear its name; they are told as one: give each its own' END)
FROM laps AS a
JOIN laps AS b ON b.replica IS NOT DISTINCT FROM a.replica AND b.rank = a.rank AND b.iteration = a.iteration
WHERE a.source_id < b.source_id
GROUP BY a.replica, a.rank, a.source_id, a.path, a.start_utc_ns, b.source_id, b.path, b.start_utc_ns
ORDER BY a.replica, a.rank, a.source_id, b.source_id;

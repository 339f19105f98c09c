-- One row: the calm window that bundle.toml names, UTC epoch ns; NULL where it names none.
CREATE VIEW named_baseline AS
SELECT max(TRY_CAST(value AS BIGINT)) FILTER (WHERE key = 'baseline.start_ns') AS from_ns,
       max(TRY_CAST(value AS BIGINT)) FILTER (WHERE key = 'baseline.end_ns') AS to_ns
FROM bundle

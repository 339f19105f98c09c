-- The number that a shape (q=1,k=2048,...) gives a key, matched as a whole key; NULL where it has none.
CREATE MACRO shape_key(shape, key) AS
TRY_CAST(nullif(regexp_extract(shape, '(?:^|,)' || key || '=(\d+)', 1), '') AS BIGINT)

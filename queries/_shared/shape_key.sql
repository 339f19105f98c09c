-- The number that a shape (q=1,k=2048,...) gives a key, matched as a whole key; NULL where it has none, and where it is
-- larger than 2^31 - 1, which no length or batch is: products of two such still fit.
CREATE MACRO shape_key(shape, key) AS
CAST(TRY_CAST(nullif(regexp_extract(shape, '(?:^|,)' || key || '=(\d+)', 1), '') AS INTEGER) AS BIGINT)

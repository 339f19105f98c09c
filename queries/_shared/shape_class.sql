-- The name of a shape class: tokens that fill whole fragments (tokens=32), else all numbers between two such (17-31);
-- the longest KV length to a doubling (k=33-64); and what else the shape says. Parts not recorded are left out.
CREATE MACRO shape_class(tokens, longest, rest, fragment) AS
nullif(concat_ws(',',
    CASE WHEN tokens % fragment = 0 OR fragment = 2 THEN 'tokens=' || tokens
         ELSE 'tokens=' || (tokens // fragment * fragment + 1) || '-' || (tokens // fragment * fragment + fragment - 1) END,
    CASE WHEN longest <= 2 THEN 'k=' || longest
         ELSE 'k=' || (CAST(2 ** (ceil(log2(longest)) - 1) AS BIGINT) + 1) || '-' || CAST(2 ** ceil(log2(longest)) AS BIGINT) END,
    rest), '')

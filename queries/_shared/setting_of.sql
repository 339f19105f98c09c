-- What a decode configuration sets a key (its JSON pointer) to, as JSON; NULL where it sets nothing: no such key, or null,
-- or an empty list or object, as servers write what was not asked for.
CREATE MACRO setting_of(cfg, key) AS
CASE WHEN CAST(json_extract(cfg, key) AS VARCHAR) NOT IN ('null', '[]', '{}') THEN CAST(json_extract(cfg, key) AS VARCHAR) END

-- one row a source: its clock against the bundle's (UTC) clock; utc = origin_ns + t + offset_ns
-- record: (always there)
CREATE TABLE clocks (
    source_id INTEGER NOT NULL, -- file
    origin_ns BIGINT,           -- UTC epoch ns of the source's time 0; NULL where it has no wall clock
    offset_ns BIGINT NOT NULL,  -- added to its times, ns (bundle.toml's clock_offset_ns)
    method    VARCHAR NOT NULL  -- how the origin is known
);

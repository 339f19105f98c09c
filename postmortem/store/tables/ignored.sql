-- one row a source and reason: lines left aside on purpose
-- record: (always there)
CREATE TABLE ignored (
    source_id INTEGER NOT NULL, -- file
    why       VARCHAR NOT NULL, -- reason
    lines     BIGINT NOT NULL   -- lines
);

-- one row a record that could not be read
-- record: (always there)
CREATE TABLE rejects (
    source_id INTEGER NOT NULL, -- file
    place     BIGINT NOT NULL,  -- line number from 1, or rowid
    reason    VARCHAR NOT NULL, -- why
    text      VARCHAR NOT NULL  -- the record's first 200 characters
);

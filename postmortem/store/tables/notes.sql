-- one row a thing that the audit must say about a source
-- record: (always there)
CREATE TABLE notes (
    source_id INTEGER NOT NULL, -- file
    severity  VARCHAR NOT NULL, -- info, notice, data_loss, error
    code      VARCHAR NOT NULL, -- stable slug
    message   VARCHAR NOT NULL  -- a sentence for the user
);

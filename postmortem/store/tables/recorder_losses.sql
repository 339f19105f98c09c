-- one row a recorder: what it wrote and what it had to drop
-- record: postmortem.record writes it on close
CREATE TABLE recorder_losses (
    source_id  INTEGER NOT NULL, -- file
    line       BIGINT NOT NULL,  -- line from 1
    replica    VARCHAR,          -- replica
    rank       INTEGER,          -- rank
    written    BIGINT,           -- records written
    dropped    BIGINT,           -- records dropped (queue full)
    errors     BIGINT,           -- the recorder's own errors
    started_ns BIGINT,           -- UTC epoch ns
    ended_ns   BIGINT            -- UTC epoch ns
);

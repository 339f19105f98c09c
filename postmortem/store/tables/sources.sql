-- one row a file of the bundle
-- record: (always there)
CREATE TABLE sources (
    source_id   INTEGER PRIMARY KEY, -- number of the file, in the order of paths
    path        VARCHAR NOT NULL,    -- path inside the bundle
    kind        VARCHAR NOT NULL,    -- the reader that recognised it, or unrecognised / unreadable
    bytes       BIGINT NOT NULL,     -- size on disk, bytes
    sha256      VARCHAR,             -- of the bytes on disk, hex
    rows        BIGINT NOT NULL,     -- rows read into the store, all tables together
    rejected    BIGINT NOT NULL,     -- records that could not be read (rows of rejects)
    ignored     BIGINT NOT NULL,     -- lines left aside (rows of ignored say why)
    lines       BIGINT,              -- physical lines; NULL where the source is no text
    parsed      BIGINT,              -- lines that gave records; lines = parsed + ignored + rejected
    first_ns    BIGINT,              -- first time, UTC epoch ns on the bundle's clock
    last_ns     BIGINT,              -- last time, UTC epoch ns on the bundle's clock
    rank        INTEGER,             -- rank, NULL where unknown or many
    rank_from   VARCHAR,             -- where the rank was read: bundle.toml, environment, file name, records
    replica     VARCHAR,             -- replica, NULL where unknown or many
    replica_from VARCHAR,            -- where the replica was read: bundle.toml, path, overlap, records
    version     VARCHAR,             -- version of the program that wrote it, as it says
    error       VARCHAR,             -- why it could not be read, NULL where it could
    seconds     DOUBLE NOT NULL      -- time spent reading it, s
);

-- one row a NVTX range or mark
-- record: nsys profile -t nvtx
CREATE TABLE nvtx_events (
    source_id      INTEGER NOT NULL, -- file
    event_id       BIGINT NOT NULL,  -- row of the export: unique within its source
    global_tid     BIGINT,           -- thread it began on: machine, pid, tid (bits 48+, 24-47, 0-23)
    end_global_tid BIGINT,           -- thread it ended on; NULL for a mark
    start_ns       BIGINT NOT NULL,  -- start, ns since session start
    end_ns         BIGINT,           -- end, ns since session start; NULL for a mark, or where none is recorded
    style          VARCHAR NOT NULL, -- PushPop, StartEnd, Mark
    text           VARCHAR,          -- message
    domain_id      BIGINT,           -- domain, numbered within its process; 0 = the default one
    domain         VARCHAR,          -- domain name; NULL: default domain, or its creation was not recorded
    category_id    BIGINT,           -- category, numbered within its domain
    category       VARCHAR,          -- category name
    range_id       BIGINT,           -- of a StartEnd range, unique within its process
    color          BIGINT,           -- ARGB
    payload_uint   UBIGINT,          -- unsigned payload
    payload_int    BIGINT,           -- signed payload
    payload_float  DOUBLE,           -- floating payload
    payload_json   VARCHAR,          -- JSON payload
    never_popped   BOOLEAN NOT NULL, -- a range still open at the end of the recording: its end is not its own
    kind           VARCHAR,          -- what it tells: iteration, schedule, kv_evict, ...; NULL: unknown
    keys           VARCHAR           -- its keys, JSON object; NULL where kind is
);

-- one row a Nsight Systems export
-- record: nsys export --type sqlite
CREATE TABLE nsys_sessions (
    source_id        INTEGER NOT NULL, -- file
    exporter_version VARCHAR,          -- nsys that wrote the export; NULL: about 2020
    schema_version   VARCHAR,          -- EXPORT_SCHEMA_VERSION; NULL: about 2020
    exported_at      VARCHAR,          -- UTC, as recorded
    start_utc_ns     BIGINT,           -- session start, UTC epoch ns; NULL: no wall clock
    duration_ns      BIGINT,           -- length of the session, ns
    system_clock_ns  BIGINT,           -- session start on the machine's own clock, ns
    graph_trace      VARCHAR,          -- CUDA graphs recorded as Graph or Node; NULL: not said
    host             VARCHAR,          -- host name
    driver_version   VARCHAR,          -- NVIDIA driver
    cuda_version     BIGINT,           -- CUDA driver API, e.g. 13000
    os               VARCHAR,          -- operating system
    derived_from     VARCHAR           -- file this one was cut from, where a tool says so
);

-- one row a source and stretch in which its clock ran evenly; aligned = t + offset_ns + drift_ppm / 1e6 * (t - at_ns)
-- record: collectives of at least two ranks (see collective_calls), or iterations that s records and NVTX ranges both have
CREATE TABLE clock_fits (
    source_id      INTEGER NOT NULL, -- file
    from_ns        BIGINT NOT NULL,  -- first moment of the stretch, UTC epoch ns by the source's own clock
    at_ns          BIGINT NOT NULL,  -- where offset_ns holds, UTC epoch ns by the source's own clock
    offset_ns      BIGINT NOT NULL,  -- added to its times, ns
    drift_ppm      DOUBLE,           -- added drift, parts per million; NULL where its 95 % interval holds zero
    uncertainty_ns BIGINT NOT NULL,  -- 95 % of single events lie within it, ns
    events         BIGINT NOT NULL,  -- moments shared with other sources
    stepped_ns     BIGINT NOT NULL,  -- jump of the clock at from_ns, ns; 0 for the first stretch
    shared         VARCHAR NOT NULL  -- what is shared: the common end of collectives, iterations of the s records
);

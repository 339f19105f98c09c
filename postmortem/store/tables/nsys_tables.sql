-- one row a table of an Nsight Systems export, there or not
-- record: nsys export --type sqlite
CREATE TABLE nsys_tables (
    source_id  INTEGER NOT NULL, -- file
    table_name VARCHAR NOT NULL, -- its name
    present    BOOLEAN NOT NULL, -- false: absent, so nothing of its kind was recorded, or not asked for
    rows       BIGINT,           -- rows in it; 0: there and empty; NULL: absent or not read
    read_into  VARCHAR           -- table of the store; NULL: not read
);

-- one row a captured environment variable or argument
-- record: nsys profile (always recorded)
CREATE TABLE nsys_environment (
    source_id INTEGER NOT NULL, -- file
    process   VARCHAR,          -- process of the capture, e.g. PROCESS_0; NULL: the machine
    name      VARCHAR NOT NULL, -- variable, or ARGUMENT_n
    value     VARCHAR           -- its value; NULL unless the environment is kept (--keep-environment)
);

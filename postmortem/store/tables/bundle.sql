-- one row a setting of bundle.toml or a fact about the whole bundle
-- record: bundle.toml
CREATE TABLE bundle (
    key   VARCHAR NOT NULL, -- dotted key, e.g. incident.start_ns, deployment.tp
    value VARCHAR NOT NULL  -- its value as JSON
);

-- one row a network card of the machine
-- record: nsys profile --nic-metrics=true, or any with an InfiniBand card
CREATE TABLE nics (
    source_id  INTEGER NOT NULL, -- file
    nic_id     BIGINT NOT NULL,  -- number
    name       VARCHAR,          -- device name
    guid       BIGINT,           -- GUID, as a signed number
    state      VARCHAR,          -- as recorded
    device_id  BIGINT,           -- PCI device
    vendor_id  BIGINT,           -- PCI vendor
    link_layer BIGINT            -- 0 unknown, 1 InfiniBand, 2 Ethernet
);

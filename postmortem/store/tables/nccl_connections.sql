-- one row a connection between two ranks on a channel
-- record: NCCL_DEBUG=INFO (subsystems INIT, P2P, SHM, NET)
CREATE TABLE nccl_connections (
    source_id  INTEGER NOT NULL, -- file
    line       BIGINT NOT NULL,  -- physical line from 1
    piece      INTEGER NOT NULL, -- record within the line, from 0
    host       VARCHAR,          -- host
    pid        BIGINT,           -- process id
    dev        INTEGER,          -- CUDA device current in the printing thread
    channel    INTEGER NOT NULL, -- channel
    conn_index INTEGER,          -- connection within the channel; NULL in old versions
    from_rank  INTEGER NOT NULL, -- sender's rank
    to_rank    INTEGER NOT NULL, -- receiver's rank
    from_dev   VARCHAR,          -- sender's device: PCI bus id in hex before 2.18.3, nvmlDev in decimal after
    to_dev     VARCHAR,          -- receiver's device, likewise
    direction  VARCHAR,          -- send, receive; NULL within a host
    transport  VARCHAR NOT NULL, -- P2P/IPC, P2P/CUMEM, SHM/direct/direct, NET, ...
    nic        VARCHAR,          -- network plugin and device, e.g. IB/2
    proxy_rank INTEGER,          -- rank whose NIC is used in its place (PXN)
    gdr        BOOLEAN           -- whether the NIC reads GPU memory itself; NULL where no NIC is used
);

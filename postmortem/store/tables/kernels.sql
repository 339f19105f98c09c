-- one row a kernel that ran on a GPU
-- record: nsys profile -t cuda,nvtx, exported with nsys export --type sqlite
CREATE TABLE kernels (
    source_id                          INTEGER NOT NULL, -- file
    start_ns                           BIGINT NOT NULL,  -- start, ns since session start
    end_ns                             BIGINT NOT NULL,  -- end, ns since session start
    device_id                          BIGINT,           -- CUDA ordinal within its process; gpu_devices maps it to the GPU
    context_id                         BIGINT,           -- CUDA context, unique within its process
    green_context_id                   BIGINT,           -- green context; NULL where none or not recorded
    stream_id                          BIGINT,           -- stream, unique within its context
    correlation_id                     BIGINT,           -- number of the launching call, unique within its process
    global_pid                         BIGINT,           -- process: machine, pid, zeros (bits 48+, 24-47, 0-23)
    demangled_name                     VARCHAR,          -- name with template arguments
    short_name                         VARCHAR,          -- base name
    mangled_name                       VARCHAR,          -- mangled name; NULL where not recorded
    launch_type                        BIGINT,           -- ENUM_CUDA_KERNEL_LAUNCH_TYPE
    cache_config                       BIGINT,           -- cache configuration asked for and got
    registers_per_thread               BIGINT,           -- registers a thread
    grid_x                             BIGINT,           -- blocks along x
    grid_y                             BIGINT,           -- blocks along y
    grid_z                             BIGINT,           -- blocks along z
    block_x                            BIGINT,           -- threads of a block along x
    block_y                            BIGINT,           -- threads of a block along y
    block_z                            BIGINT,           -- threads of a block along z
    static_shared_memory               BIGINT,           -- static shared memory, bytes
    dynamic_shared_memory              BIGINT,           -- dynamic shared memory, bytes
    local_memory_per_thread            BIGINT,           -- local memory a thread, bytes
    local_memory_total                 BIGINT,           -- local memory, bytes
    grid_id                            BIGINT,           -- grid number
    shared_memory_executed             BIGINT,           -- shared memory size set by the driver, bytes
    graph_node_id                      BIGINT,           -- CUDA graph node; NULL: launched on its own
    shared_memory_limit_config         BIGINT,           -- ENUM_CUDA_SHARED_MEM_LIMIT_CONFIG
    qmd_bulk_release_done              BIGINT,           -- as recorded, from 2025.5
    qmd_preexit_done                   BIGINT,           -- as recorded, from 2025.5
    qmd_last_cta_done                  BIGINT,           -- as recorded, from 2025.5
    graph_id                           BIGINT,           -- CUDA graph, from 2025.5
    cluster_x                          BIGINT,           -- blocks of a cluster along x
    cluster_y                          BIGINT,           -- blocks of a cluster along y
    cluster_z                          BIGINT,           -- blocks of a cluster along z
    cluster_scheduling_policy          BIGINT,           -- as recorded
    max_potential_cluster_size         BIGINT,           -- blocks
    max_active_clusters                BIGINT,           -- clusters
    shared_memory_requested_percentage BIGINT,           -- %
    tensor_size_minus_one_elements     VARCHAR           -- as recorded, from 2026.2
);

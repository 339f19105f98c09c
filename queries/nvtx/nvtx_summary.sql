-- Where the host's time went, by NVTX range.
-- One row a style and range name (the domain's name before it where it is known), as NVIDIA's nvtx_sum (2023.4).
-- Ranges nest, so the times of one thread add up to more than its time; marks have no length and no row.
-- It can't tell the true length of a range that was never popped (nvtx_events.never_popped).
-- param: source VARCHAR path = NULL — only this source; NULL: all together
-- column: style VARCHAR - — PushPop or StartEnd
-- column: range_name VARCHAR - — domain and text
-- column: instances BIGINT count — how many
-- column: total_ns BIGINT ns — time of all together
-- column: avg_ns DOUBLE ns — mean
-- column: median_ns DOUBLE ns — median, mean of the middle two
-- column: min_ns BIGINT ns — shortest
-- column: max_ns BIGINT ns — longest
-- column: stddev_ns DOUBLE ns — sample deviation; 0 of one range
-- column: time_pct DOUBLE % — share of the times of all ranges
-- needs: nvtx_events(start_ns, end_ns, style, domain, text)
-- uses: _shared/nsys_ranges
WITH lasted AS (
    SELECT style, range_name, end_ns - start_ns AS ns
    FROM nsys_ranges
    WHERE $source::VARCHAR IS NULL OR source_id IN (SELECT source_id FROM sources WHERE path = $source)
)
SELECT
    style,
    range_name,
    count(*) AS instances,
    sum(ns)::BIGINT AS total_ns,
    avg(ns) AS avg_ns,
    median(ns)::DOUBLE AS median_ns,
    min(ns) AS min_ns,
    max(ns) AS max_ns,
    coalesce(stddev_samp(ns), 0) AS stddev_ns,
    coalesce(100 * sum(ns)::DOUBLE / nullif(sum(sum(ns)) OVER (), 0)::DOUBLE, 0) AS time_pct
FROM lasted
GROUP BY style, range_name
ORDER BY total_ns DESC, style, range_name

-- Every record of the NCCL logs, by kind.
-- One row a log and kind. `lines` counts records: a physical line may hold several. A record that begins
-- like a known kind and is cut or torn counts as `other` (INFO) or `warn_other` (WARN). Pieces torn before
-- their level are not counted; the audit tells them. Absence of a kind may only mean that its subsystem
-- was not switched on (COLL and TUNING are off by default), and CUDA graphs replay without a line.
-- column: source VARCHAR - — path in the bundle
-- column: kind VARCHAR - — kind of record
-- column: lines BIGINT - — records
-- needs: nccl_records(kind, level)
SELECT s.path AS source, r.kind, count(*) AS lines
FROM nccl_records AS r
JOIN sources AS s USING (source_id)
WHERE r.level IS NOT NULL
GROUP BY s.path, r.kind
ORDER BY s.path, lines DESC, r.kind

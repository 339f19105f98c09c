-- uses: _shared/rank_times
-- One row a rank whose iterations are timed by its own records, and these by a clock that nothing ties to the exports'. A
-- rank's records and its export are read off one host's clock: where nothing tells more, that is taken, and the export's
-- times are held against such records as they were recorded, not as they are aligned with other ranks' exports.
CREATE VIEW untied_ranks AS
SELECT DISTINCT coalesce(replica, '') AS place, rank
FROM rank_times
WHERE source_id IS NULL AND unsure_ns IS NULL

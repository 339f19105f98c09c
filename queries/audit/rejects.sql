-- Records that could not be read, with the reason.
-- One row a record.
-- column: path VARCHAR - — file
-- column: place BIGINT - — line number from 1, or rowid
-- column: reason VARCHAR - — why
-- column: text VARCHAR - — its first 200 characters
-- needs: sources(path)
SELECT s.path, r.place, r.reason, r.text
FROM rejects AS r
JOIN sources AS s USING (source_id)
ORDER BY s.path, r.place, r.reason

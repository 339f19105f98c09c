-- What must be said about the sources: losses, gaps, things left out.
-- One row a note; severity info, notice, data_loss or error.
-- column: path VARCHAR - — file, NULL for the whole bundle
-- column: severity VARCHAR - — info, notice, data_loss, error
-- column: code VARCHAR - — stable slug
-- column: message VARCHAR - — the sentence
-- needs: sources(path)
SELECT s.path, n.severity, n.code, n.message
FROM notes AS n
LEFT JOIN sources AS s USING (source_id)
ORDER BY s.path NULLS FIRST, n.severity, n.code, n.message

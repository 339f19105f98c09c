-- What the bundle holds, file by file.
-- One row a file: which reader knew it, how much was read, rejected and left aside, whose it is.
-- column: path VARCHAR - — path inside the bundle
-- column: kind VARCHAR - — reader that knew it, or unrecognised, unreadable
-- column: bytes BIGINT B — size on disk
-- column: sha256 VARCHAR - — of the bytes on disk
-- column: rows BIGINT rows — rows read into the store
-- column: rejected BIGINT records — records that could not be read
-- column: ignored BIGINT lines — lines left aside
-- column: lines BIGINT lines — physical lines, NULL where it is no text
-- column: first_ns BIGINT ns — first time, UTC epoch
-- column: last_ns BIGINT ns — last time, UTC epoch
-- column: rank INTEGER - — rank, NULL where unknown or many
-- column: rank_from VARCHAR - — where the rank was read
-- column: replica VARCHAR - — replica, NULL where unknown or many
-- column: replica_from VARCHAR - — where the replica was read
-- column: version VARCHAR - — version of the program that wrote it
-- column: error VARCHAR - — why it could not be read
-- column: seconds DOUBLE s — time spent reading it
-- needs: sources(path)
SELECT path, kind, bytes, sha256, rows, rejected, ignored, lines, first_ns, last_ns, rank, rank_from,
       replica, replica_from, version, error, seconds
FROM sources
ORDER BY path

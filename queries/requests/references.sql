-- What each request is compared with: the calmest other request that provably saw the same text.
-- One row a request that has a reference; the reference of a group has none itself.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all
-- column: req_id VARCHAR - — request
-- column: reference VARCHAR - — its reference
-- needs: x_records(effective_text_sha256, decode_cfg_applied)
-- uses: _shared/references_of
SELECT req_id, reference
FROM references_of
WHERE $req_id IS NULL OR req_id = $req_id
ORDER BY req_id

-- Requests with the raw prompt of others that saw another input: what they are compared with.
-- One row a request whose effective text or decode settings differ from those of most requests with the
-- same raw prompt. It can't tell what changed the text: see request_drift for the shaping events.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all
-- column: req_id VARCHAR - — request
-- column: reference VARCHAR - — the earliest request with the most frequent input of that prompt
-- column: other_text BOOLEAN - — its effective text differs
-- column: other_settings BOOLEAN - — its decode settings differ; NULL where they are not recorded on both sides
-- needs: x_records(raw_prompt_sha256, effective_text_sha256)
-- uses: _shared/other_inputs_of
SELECT req_id, reference, other_text, other_settings
FROM other_inputs_of
WHERE $req_id IS NULL OR req_id = $req_id
ORDER BY req_id

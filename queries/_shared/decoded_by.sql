-- A decode configuration with the model and the adapter in it, where an x record has them beside it, as servers log them.
-- What the configuration itself says of them comes first.
CREATE MACRO decoded_by(cfg, extra) AS
CASE WHEN extra IS NULL THEN cfg WHEN cfg IS NOT NULL THEN json_merge_patch(
    json_object('model', json_extract(extra, '$.model'), 'lora_request', json_extract(extra, '$.lora_request'),
                'lora_path', json_extract(extra, '$.lora_path'), 'adapter_id', json_extract(extra, '$.adapter_id')),
    CAST(cfg AS JSON)) END

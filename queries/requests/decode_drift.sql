-- Which decode settings differ from the reference's, key by key.
-- One row a key whose values differ (numbers by value: 0 is 0.0; null, an empty list and an empty object set nothing).
-- counts is false where the difference cannot change a token: temperature, top_p, top_k, min_p and seed of two greedy
-- requests, and max_tokens (SGLang's and TGI's max_new_tokens), which only ends the answer earlier.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all that saw another input than most of their prompt
-- param: vs VARCHAR - = NULL — compare with this request; NULL: with the most frequent input of the prompt
-- column: req_id VARCHAR - — request
-- column: reference VARCHAR - — request that it is compared with
-- column: setting VARCHAR - — key of the decode configuration
-- column: value VARCHAR - — the request's, as JSON; NULL: not set
-- column: reference_value VARCHAR - — the reference's, as JSON; NULL: not set
-- column: counts BOOLEAN - — whether the difference can change a token
-- needs: x_records(decode_cfg_applied)
-- uses: _shared/other_inputs_of, _shared/request_keys, _shared/setting_of, _shared/decoded_by
WITH pairs AS (
    SELECT req_id, reference FROM other_inputs_of WHERE $vs IS NULL AND ($req_id IS NULL OR req_id = $req_id)
    UNION ALL
    SELECT $req_id, $vs WHERE $vs IS NOT NULL AND $req_id IS NOT NULL
), both_sides AS (
    SELECT p.req_id, p.reference, decoded_by(a.decode_cfg_applied, a.extra) AS mine, decoded_by(b.decode_cfg_applied, b.extra) AS theirs,
           coalesce(k.greedy, false) AND coalesce(l.greedy, false) AS greedy
    FROM pairs AS p
    JOIN x_records AS a ON a.req_id = p.req_id AND a.decode_cfg_applied IS NOT NULL
    JOIN x_records AS b ON b.req_id = p.reference AND b.decode_cfg_applied IS NOT NULL
    LEFT JOIN request_keys AS k ON k.req_id = p.req_id
    LEFT JOIN request_keys AS l ON l.req_id = p.reference
), keys AS (
    SELECT DISTINCT req_id, reference, greedy, mine, theirs, setting
    FROM both_sides, unnest(list_distinct(json_keys(mine) || json_keys(theirs))) AS _(setting)
), settings AS (
    SELECT req_id, reference, setting, greedy,
           '/' || replace(replace(setting, '~', '~0'), '/', '~1') AS key,
           setting_of(mine, key) AS value, setting_of(theirs, key) AS reference_value
    FROM keys
)
SELECT req_id, reference, setting, value, reference_value,
       NOT (setting IN ('max_tokens', 'max_new_tokens', 'max_completion_tokens') OR setting IN ('temperature', 'top_p', 'top_k', 'min_p', 'seed') AND greedy) AS counts
FROM settings
WHERE coalesce(CAST(TRY_CAST(value AS DOUBLE) AS VARCHAR), value)
      IS DISTINCT FROM coalesce(CAST(TRY_CAST(reference_value AS DOUBLE) AS VARCHAR), reference_value)
ORDER BY req_id, reference, setting

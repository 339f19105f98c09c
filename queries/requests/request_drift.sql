-- What shaped a request's text otherwise than its reference's: the events that are not the same on both.
-- One row a difference; one with shaped_by NULL where the texts differ and nothing recorded says why. Both texts'
-- lengths stand beside it. It can't tell which part of the text an event changed: texts are not recorded.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all that saw another text than most of their prompt
-- param: vs VARCHAR - = NULL — compare with this request; NULL: with the most frequent input of the prompt
-- column: req_id VARCHAR - — request
-- column: reference VARCHAR - — request that it is compared with
-- column: shaped_by VARCHAR - — truncation, prefix_cache, routing_template, system_message, or the kind of the shaping event
-- column: value VARCHAR - — what the request had; NULL: none of it
-- column: reference_value VARCHAR - — what the reference had; NULL: none of it
-- column: tokens BIGINT tokens — the request's text
-- column: reference_tokens BIGINT tokens — the reference's text
-- needs: x_records(effective_text_sha256)
-- uses: _shared/other_inputs_of
WITH pairs AS (
    SELECT req_id, reference FROM other_inputs_of WHERE $vs IS NULL AND ($req_id IS NULL OR req_id = $req_id)
    UNION ALL
    SELECT $req_id, $vs WHERE $vs IS NOT NULL AND $req_id IS NOT NULL
), both_sides AS (
    SELECT p.req_id, p.reference, a AS mine, b AS theirs
    FROM pairs AS p
    JOIN x_records AS a ON a.req_id = p.req_id
    JOIN x_records AS b ON b.req_id = p.reference
    WHERE a.effective_text_sha256 IS DISTINCT FROM b.effective_text_sha256
), events AS (
    SELECT req_id, reference, event, true AS is_mine FROM both_sides, unnest(mine.shaping_events) AS _(event)
    UNION ALL
    SELECT req_id, reference, event, false FROM both_sides, unnest(theirs.shaping_events) AS _(event)
), differing AS (
    -- in their order, so that the same events in another order differ too
    SELECT req_id, reference, 0 AS place, split_part(event, ':', 1) AS shaped_by,
           string_agg(event, ' ') FILTER (WHERE is_mine) AS value,
           string_agg(event, ' ') FILTER (WHERE NOT is_mine) AS reference_value
    FROM events
    GROUP BY req_id, reference, split_part(event, ':', 1)
    UNION ALL
    SELECT req_id, reference, 1, 'truncation',
           CASE WHEN mine.truncated THEN concat_ws(' ', mine.trunc_reason, 'at', mine.effective_tokens, 'tokens') END,
           CASE WHEN theirs.truncated THEN concat_ws(' ', theirs.trunc_reason, 'at', theirs.effective_tokens, 'tokens') END
    FROM both_sides
    UNION ALL
    SELECT req_id, reference, 2, 'system_message', mine.system_sha256, theirs.system_sha256 FROM both_sides
    UNION ALL
    SELECT req_id, reference, 3, 'routing_template', mine.routing_template, theirs.routing_template FROM both_sides
    UNION ALL
    SELECT req_id, reference, 4, 'prefix_cache',
           CASE WHEN mine.prefix_cache_used THEN coalesce(mine.prefix_cache_key, 'used') END,
           CASE WHEN theirs.prefix_cache_used THEN coalesce(theirs.prefix_cache_key, 'used') END
    FROM both_sides
)
SELECT b.req_id, b.reference, d.shaped_by, d.value, d.reference_value,
       b.mine.effective_tokens AS tokens, b.theirs.effective_tokens AS reference_tokens
FROM both_sides AS b
LEFT JOIN differing AS d
    ON d.req_id = b.req_id AND d.reference = b.reference AND d.value IS DISTINCT FROM d.reference_value
ORDER BY b.req_id, b.reference, d.place, d.shaped_by

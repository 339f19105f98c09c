-- What shaped a request's text otherwise than its reference's: the events that are not the same on both.
-- One row a difference; one with shaped_by NULL where the texts differ and nothing recorded says why. Both texts'
-- lengths stand beside it; a truncation's boundary is the length that it left. both_recorded is false where one
-- side's record lacks the field: the difference may then be one of recording alone.
-- It can't tell which part of the text an event changed: texts are not recorded.
-- param: req_id VARCHAR - = NULL — only this request; NULL: all that saw another text than most of their prompt
-- param: vs VARCHAR - = NULL — compare with this request; NULL: with the most frequent input of the prompt
-- column: req_id VARCHAR - — request
-- column: reference VARCHAR - — request that it is compared with
-- column: shaped_by VARCHAR - — truncation, prefix_cache, routing_template, system_message, the kind of the shaping event, or order_of_events
-- column: value VARCHAR - — what the request had; NULL: none of it
-- column: reference_value VARCHAR - — what the reference had; NULL: none of it
-- column: both_recorded BOOLEAN - — whether both sides' records have the field; NULL where shaped_by is
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
    SELECT req_id, reference, event, place, true AS is_mine
    FROM both_sides, unnest(mine.shaping_events) WITH ORDINALITY AS _(event, place)
    UNION ALL
    SELECT req_id, reference, event, place, false
    FROM both_sides, unnest(theirs.shaping_events) WITH ORDINALITY AS _(event, place)
), told AS (
    SELECT req_id, reference, mine.shaping_events IS NOT NULL AND theirs.shaping_events IS NOT NULL AS shaping,
           mine.truncated IS NOT NULL AND theirs.truncated IS NOT NULL AS truncation,
           mine.system_sha256 IS NOT NULL AND theirs.system_sha256 IS NOT NULL AS system,
           mine.routing_template IS NOT NULL AND theirs.routing_template IS NOT NULL AS template,
           mine.prefix_cache_used IS NOT NULL AND theirs.prefix_cache_used IS NOT NULL AS prefix
    FROM both_sides
), differing AS (
    -- events of one kind in their order, so that the same ones in another order differ too
    SELECT e.req_id, e.reference, 0 AS place, split_part(event, ':', 1) AS shaped_by,
           string_agg(event, ' ' ORDER BY e.place) FILTER (WHERE is_mine) AS value,
           string_agg(event, ' ' ORDER BY e.place) FILTER (WHERE NOT is_mine) AS reference_value,
           any_value(t.shaping) AS both_recorded
    FROM events AS e
    JOIN told AS t ON t.req_id = e.req_id AND t.reference = e.reference
    GROUP BY e.req_id, e.reference, split_part(event, ':', 1)
    UNION ALL
    SELECT req_id, reference, 1, 'order_of_events', array_to_string(mine.shaping_events, ' '),
           array_to_string(theirs.shaping_events, ' '), true
    FROM both_sides
    WHERE list_sort(mine.shaping_events) = list_sort(theirs.shaping_events)
      AND list_transform(mine.shaping_events, lambda e: split_part(e, ':', 1))
          <> list_transform(theirs.shaping_events, lambda e: split_part(e, ':', 1))
    UNION ALL
    SELECT b.req_id, b.reference, 2, 'truncation',
           CASE WHEN mine.truncated THEN concat_ws(' ', mine.trunc_reason, 'at', mine.effective_tokens, 'tokens') END,
           CASE WHEN theirs.truncated THEN concat_ws(' ', theirs.trunc_reason, 'at', theirs.effective_tokens, 'tokens') END,
           t.truncation
    FROM both_sides AS b JOIN told AS t ON t.req_id = b.req_id AND t.reference = b.reference
    UNION ALL
    SELECT b.req_id, b.reference, 3, 'system_message', mine.system_sha256, theirs.system_sha256, t.system
    FROM both_sides AS b JOIN told AS t ON t.req_id = b.req_id AND t.reference = b.reference
    UNION ALL
    SELECT b.req_id, b.reference, 4, 'routing_template', mine.routing_template, theirs.routing_template, t.template
    FROM both_sides AS b JOIN told AS t ON t.req_id = b.req_id AND t.reference = b.reference
    UNION ALL
    SELECT b.req_id, b.reference, 5, 'prefix_cache',
           CASE WHEN mine.prefix_cache_used THEN coalesce(mine.prefix_cache_key, 'used') END,
           CASE WHEN theirs.prefix_cache_used THEN coalesce(theirs.prefix_cache_key, 'used') END, t.prefix
    FROM both_sides AS b JOIN told AS t ON t.req_id = b.req_id AND t.reference = b.reference
)
SELECT b.req_id, b.reference, d.shaped_by, d.value, d.reference_value, d.both_recorded,
       b.mine.effective_tokens AS tokens, b.theirs.effective_tokens AS reference_tokens
FROM both_sides AS b
LEFT JOIN differing AS d
    ON d.req_id = b.req_id AND d.reference = b.reference AND d.value IS DISTINCT FROM d.reference_value
ORDER BY b.req_id, b.reference, d.place, d.shaped_by

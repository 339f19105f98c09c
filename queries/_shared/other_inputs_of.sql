-- uses: _shared/request_keys
-- One row a request that was asked the same raw prompt as others and yet saw another input than most of
-- them: another effective text, or other decode settings. reference is the earliest of the most frequent
-- input; on a tie of the one whose shaping and settings most requests of the bundle share, then the earlier. Another seed alone makes no other input: two samples
-- with different seeds may differ by right.
CREATE VIEW other_inputs_of AS
WITH asked AS (
    SELECT req_id, raw_prompt_sha256 AS raw, effective_text_sha256 AS text,
           regexp_replace(decode_key, ' seed=.*$', '') AS settings, admitted_ns,
           count(*) OVER (PARTITION BY shaping_events, truncated, settings) AS alike
    FROM request_keys
    WHERE raw_prompt_sha256 IS NOT NULL AND effective_text_sha256 IS NOT NULL
), counted AS (
    SELECT *, count(*) OVER same AS n, min(admitted_ns) OVER same AS since_ns
    FROM asked
    WINDOW same AS (PARTITION BY raw, text, settings)
), usual AS (
    SELECT *
    FROM counted
    QUALIFY row_number() OVER (
        PARTITION BY raw ORDER BY n DESC, alike DESC, since_ns NULLS LAST, text, settings, admitted_ns NULLS LAST, req_id
    ) = 1
)
SELECT a.req_id, u.req_id AS reference, a.text <> u.text AS other_text, a.settings <> u.settings AS other_settings
FROM asked AS a
JOIN usual AS u ON u.raw = a.raw
WHERE a.text <> u.text OR a.settings <> u.settings

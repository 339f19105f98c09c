-- The phase of an iteration: by hand where a window of iterations is given (pressured within it, calm outside; an end
-- that is NULL is open), else as told.
CREATE MACRO phase_within(iteration, told, first_iteration, last_iteration) AS
CASE WHEN coalesce(first_iteration, last_iteration) IS NULL THEN told
     WHEN iteration >= coalesce(first_iteration, iteration) AND iteration <= coalesce(last_iteration, iteration) THEN 'pressured'
     WHEN iteration IS NOT NULL THEN 'calm' END

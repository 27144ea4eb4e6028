-- purpose: clear away members of segments that were deleted
-- takes: $1 how many
-- returns: how many were cleared away; none when there are none left
WITH gone AS MATERIALIZED (
    SELECT m.user_id, m.segment_no
    FROM segments s
    CROSS JOIN LATERAL (SELECT user_id, segment_no FROM segment_members WHERE segment_no = s.segment_no LIMIT $1) AS m
    WHERE s.name IS NULL
    LIMIT $1
), cleared AS (
    DELETE FROM segment_members m USING gone WHERE m.user_id = gone.user_id AND m.segment_no = gone.segment_no RETURNING m.segment_no
)
SELECT count(*) FROM cleared

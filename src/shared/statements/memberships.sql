-- purpose: which segments these users belong to
-- takes: $1 users
-- returns: {user_id, name, since} for each membership
SELECT asked.user_id, held.name, held.since
FROM unnest($1::text[]) AS asked (user_id)
CROSS JOIN LATERAL (
    SELECT s.name, m.since
    FROM segment_members m
    JOIN segments s USING (segment_no)
    WHERE m.user_id = asked.user_id AND s.name IS NOT NULL OFFSET 0
) AS held

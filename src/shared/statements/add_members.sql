-- purpose: put into a segment who is staged and not in it
-- takes: $1 name
INSERT INTO segment_members (user_id, name, since)
SELECT user_id, $1, since FROM staged_members
ON CONFLICT (user_id, name) DO NOTHING

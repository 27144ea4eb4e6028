-- purpose: put into a segment who is staged and not in it
-- takes: $1 segment_no
INSERT INTO segment_members (user_id, segment_no, since)
SELECT user_id, $1, since FROM staged_members
ON CONFLICT (user_id, segment_no) DO NOTHING

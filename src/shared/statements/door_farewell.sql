-- purpose: no longer wait for a front door
-- takes: $1 door_id
DELETE FROM doors WHERE door_id = $1

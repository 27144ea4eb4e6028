-- purpose: forget a segment and who belongs to it
-- takes: $1 name
-- returns: {name, members, loaded_at}, no row when there was none
DELETE FROM segments WHERE name = $1 RETURNING name, members, loaded_at

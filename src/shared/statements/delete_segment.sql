-- purpose: forget a segment: without its name nobody belongs to it any more, however many members there are to be cleared away
-- takes: $1 name
-- returns: {name, members, loaded_at}, no row when there was none
UPDATE segments SET name = NULL WHERE name = $1 RETURNING $1::text AS name, members, loaded_at

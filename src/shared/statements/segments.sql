-- purpose: all segments
-- returns: {name, members, loaded_at}
SELECT name, members, loaded_at FROM segments WHERE name IS NOT NULL ORDER BY name

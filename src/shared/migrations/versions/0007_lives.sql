-- Until when somebody may vouch for the life that `incarnation` names. Its owner does while it is there ('infinity'); when it is
-- succeeded, what it may still have said runs out, and then a successor that never reached Redis may end the life.
ALTER TABLE partitions ADD COLUMN life_until timestamptz NOT NULL DEFAULT 'infinity';

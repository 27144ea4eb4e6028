-- purpose: go on with a partition's life: from now on its owner at this epoch vouches for it
-- takes: $1 partition_no, $2 epoch, $3 incarnation
-- returns: {cursor}, or no row when fenced, or when the life has been ended. A commit that is under way is waited for: the
--          cursor is the one behind it
UPDATE partitions SET life_until = 'infinity' WHERE partition_no = $1 AND epoch = $2 AND incarnation = $3 RETURNING cursor

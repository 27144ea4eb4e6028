-- purpose: name a new life of a partition's Redis state; its mailbox is read from the beginning. Nobody vouches
--          for it yet (see keep_life)
-- takes: $1 partition_no, $2 epoch, $3 incarnation
-- returns: the partition, or no row when fenced
UPDATE partitions SET incarnation = $3, cursor = '0-0', life_until = '-infinity'
WHERE partition_no = $1 AND epoch = $2
RETURNING partition_no

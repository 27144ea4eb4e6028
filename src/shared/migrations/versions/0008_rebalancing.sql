-- purpose: where partitions are wanted, and what shards tell each other of how they fare

-- wanted_by: the shard that somebody asked the partition to be moved to; it counts while that shard lives.
ALTER TABLE partitions ADD COLUMN wanted_by text;

-- reaches_redis: whether Redis answers this shard. resting: it takes no partition at present, for one stood still with it.
ALTER TABLE shards
    ADD COLUMN reaches_redis boolean NOT NULL DEFAULT true,
    ADD COLUMN resting boolean NOT NULL DEFAULT false;

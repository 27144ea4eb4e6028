-- purpose: partitions by how much lives there already
-- returns: {partition_no}, that with the fewest slices of campaigns that are not over first
SELECT p.partition_no
FROM partitions p
ORDER BY (
    SELECT count(*) FROM campaign_slices s JOIN campaigns c USING (campaign_id)
    WHERE s.partition_no = p.partition_no AND c.status <> 'ended' AND coalesce(c.ends_at > clock_timestamp(), true)
), p.partition_no

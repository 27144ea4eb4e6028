-- purpose: one campaign's numbers, counted from its redemptions and read from its slices
-- takes: $1 campaign_id
-- returns: one row {redemptions, active, users, claimed, budget, partitions}; partitions is null when there is no such campaign
SELECT count(*) AS redemptions,
       count(*) FILTER (WHERE released_at IS NULL) AS active,
       count(DISTINCT user_id) FILTER (WHERE released_at IS NULL) AS users,
       (SELECT coalesce(sum(claimed), 0)::bigint FROM campaign_slices WHERE campaign_id = $1) AS claimed,
       (SELECT sum(budget)::bigint FROM campaign_slices WHERE campaign_id = $1) AS budget,
       (SELECT array_agg(DISTINCT partition_no) FROM campaign_slices WHERE campaign_id = $1) AS partitions
FROM redemptions
WHERE campaign_id = $1

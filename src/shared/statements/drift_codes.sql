-- purpose: codes that are not what redemptions make of them: claimed by the user of the one active redemption that used the code
--          up, or unused where there is none. Shared codes are never used up.
-- takes: $1 how many at most
-- returns: {partition_no, campaign_id, subject, expected, found, how many there are in all}, in order
SELECT (SELECT min(partition_no) FROM campaign_slices s WHERE s.campaign_id = k.campaign_id) AS partition_no,
       coalesce(k.campaign_id, held.campaign_id) AS campaign_id, format('code %s', coalesce(k.code, format('of id %s', code_id))) AS subject,
       CASE WHEN active IS NULL THEN 'unused' WHEN active = 1 THEN format('claimed by %s', holder)
            ELSE format('claimed by %s redemptions', active) END AS expected,
       coalesce(concat_ws(' by ', k.state, k.claimed_by), 'nowhere') AS found, count(*) OVER () AS drifts
FROM codes k
FULL JOIN (
    SELECT code_id, count(*) AS active, min(user_id) AS holder, min(campaign_id::text)::uuid AS campaign_id
    FROM redemptions
    WHERE single_use AND released_at IS NULL
    GROUP BY code_id
) AS held USING (code_id)
WHERE CASE WHEN k.state = 'claimed'
           THEN (active, holder, held.campaign_id) IS DISTINCT FROM (1::bigint, k.claimed_by, k.campaign_id)
           ELSE active IS NOT NULL END
ORDER BY code_id
LIMIT $1

-- purpose: codes that are not what redemptions make of them: claimed by the user of the one active redemption that used the code
--          up, or unused where there is none. Shared codes are never used up.
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('code %s', coalesce(code, format('of id %s', code_id))) AS place,
       format('it is %s, but %s active redemptions used it up%s',
              coalesce(concat_ws(' by ', state, claimed_by), 'nowhere'), coalesce(active, 0), ' (of ' || holder || ')') AS detail,
       count(*) OVER () AS faults
FROM codes
FULL JOIN (
    SELECT code_id, count(*) AS active, min(user_id) AS holder, min(campaign_id::text)::uuid AS campaign_id
    FROM redemptions
    WHERE single_use AND released_at IS NULL
    GROUP BY code_id
) AS held USING (code_id)
WHERE CASE WHEN state = 'claimed'
           THEN (active, holder, held.campaign_id) IS DISTINCT FROM (1::bigint, claimed_by, codes.campaign_id)
           ELSE active IS NOT NULL END
ORDER BY code_id
LIMIT 1

-- purpose: users who hold more of a campaign than the limit that stood when they claimed (a limit lowered since takes nothing away)
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s, user %s', campaign_id, user_id) AS place,
       format('%s active redemptions, but the limit was %s', count(*), max(user_limit)) AS detail,
       count(*) OVER () AS faults
FROM redemptions
WHERE released_at IS NULL
GROUP BY campaign_id, user_id
HAVING count(*) > max(user_limit)
ORDER BY campaign_id, user_id
LIMIT 1

-- purpose: whose attempts were most
-- takes: $1 by what: user, ip or campaign, $2 since how long ago, $3 with which result (null: any), $4 how many are told of
-- returns: {subject, attempts, results (JSON text: attempts by result, the most frequent first)}, the most first
WITH counted AS (
    SELECT CASE $1::text WHEN 'user' THEN a.user_id WHEN 'ip' THEN a.ip ELSE a.campaign_id::text END AS subject,
           a.result, count(*) AS attempts
    FROM redemption_attempts a
    WHERE a.at >= now() - $2::interval AND ($3::text IS NULL OR a.result = $3)
    GROUP BY 1, 2
)
SELECT c.subject, sum(c.attempts)::bigint AS attempts,
       json_object_agg(c.result, c.attempts ORDER BY c.attempts DESC, c.result)::text AS results
FROM counted c
WHERE c.subject IS NOT NULL
GROUP BY c.subject
ORDER BY 2 DESC, 1
LIMIT $4

-- purpose: add to what campaigns were asked for in this minute; in one order, or two front doors would deadlock
-- takes: $1 campaign ids, each once, $2 how many attempts
INSERT INTO campaign_traffic AS t (campaign_id, minute, attempts)
SELECT asked.campaign_id, date_trunc('minute', clock_timestamp(), 'UTC'), asked.attempts
FROM unnest($1::uuid[], $2::bigint[]) AS asked (campaign_id, attempts)
ORDER BY asked.campaign_id
ON CONFLICT (campaign_id, minute) DO UPDATE SET attempts = t.attempts + excluded.attempts

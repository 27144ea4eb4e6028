-- purpose: active campaigns that were asked for often in this minute or the last, and all that is judged by
-- takes: $1 attempts in a minute that are often, $2 how far back the mean goes, $3 only this campaign (null: any)
-- returns: {campaign_id, minute, attempts, now, first (minute ever counted), before (attempts that make the mean), resumed_at,
--          starts_at (of the campaign), launches (JSON text: those that reach into the minute)}
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS now, date_trunc('minute', clock_timestamp(), 'UTC') AS minute
)
SELECT t.campaign_id, t.minute, t.attempts, clock.now, first.minute AS first, before.attempts AS before, last.resumed_at,
       c.starts_at,
       (
           SELECT json_agg(json_build_object('starts_at', l.starts_at, 'ends_at', l.ends_at))
           FROM launch_windows l
           WHERE l.campaign_id = t.campaign_id AND l.starts_at <= clock.now AND l.ends_at > t.minute
       )::text AS launches
FROM clock
JOIN campaign_traffic t ON t.minute >= clock.minute - interval '1 minute' AND t.attempts >= $1
JOIN campaigns c ON c.campaign_id = t.campaign_id AND c.status = 'active'
CROSS JOIN LATERAL (
    SELECT min(f.minute) AS minute FROM campaign_traffic f WHERE f.campaign_id = t.campaign_id
) first
CROSS JOIN LATERAL (
    SELECT coalesce(sum(b.attempts), 0)::bigint AS attempts
    FROM campaign_traffic b
    WHERE b.campaign_id = t.campaign_id
      AND b.minute >= clock.minute - interval '1 minute' - $2::interval AND b.minute < clock.minute - interval '1 minute'
) before
CROSS JOIN LATERAL (
    SELECT max(p.resumed_at) AS resumed_at FROM guard_pauses p WHERE p.campaign_id = t.campaign_id
) last
WHERE $3::uuid IS NULL OR t.campaign_id = $3
ORDER BY t.minute

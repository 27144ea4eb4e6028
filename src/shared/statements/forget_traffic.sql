-- purpose: drop minutes of traffic that no mean reaches back to; the first minute of each campaign stays, by which the guard
--          knows that it has watched long enough
-- takes: $1 seconds
DELETE FROM campaign_traffic t
WHERE t.minute < clock_timestamp() - make_interval(secs => $1)
  AND EXISTS (SELECT FROM campaign_traffic f WHERE f.campaign_id = t.campaign_id AND f.minute < t.minute)

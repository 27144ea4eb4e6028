-- purpose: take a pause by the velocity guard that nobody was alerted to yet; it is not taken again before its time
-- takes: $1 seconds after which an alert is no news, $2 how often one is tried, $3 seconds to the next try, twice as many each time
-- returns: {campaign_id, name, code, paused_at, minute, attempts, baseline, factor}
UPDATE guard_pauses p
SET tries = p.tries + 1, try_at = clock_timestamp() + make_interval(secs => $3::float8 * 2 ^ p.tries)
FROM campaigns c
WHERE c.campaign_id = p.campaign_id
  AND (p.campaign_id, p.paused_at) = (
      SELECT due.campaign_id, due.paused_at
      FROM guard_pauses due
      WHERE due.told_at IS NULL AND due.try_at <= clock_timestamp() AND due.tries < $2
        AND due.paused_at > clock_timestamp() - make_interval(secs => $1)
      ORDER BY due.try_at
      LIMIT 1
      FOR UPDATE SKIP LOCKED
  )
RETURNING p.campaign_id, c.name, c.code, p.paused_at, p.minute, p.attempts, p.baseline, p.factor

-- purpose: redemptions whose ledger rows do not tell the history that their own row shows; also rows of redemptions that are not there
-- takes: $1..$3 the legal histories as arrays: state reached, reason it was released for or null, kinds of its ledger rows in order
-- returns: {place, detail, faults} of the first, none when there is none
-- One GROUP BY over the ledger's order within a partition: all rows of a redemption are in one, unless its slice has moved. Then
-- the clock tells, which had seconds at least between one partition and the next.
WITH lived AS (
    SELECT redemption_id,
           CASE WHEN min(partition_no) = max(partition_no) THEN string_agg(kind, ' ' ORDER BY seq)
                ELSE string_agg(kind, ' ' ORDER BY at, seq) END AS story
    FROM ledger
    WHERE kind IN ('claimed', 'redeemed', 'released')
    GROUP BY redemption_id
), legal AS (
    SELECT state, reason, story FROM unnest($1::text[], $2::text[], $3::text[]) AS history (state, reason, story)
)
SELECT format('redemption %s', redemption_id) AS place,
       format('the row says %s, the ledger %s',
              coalesce(concat_ws(' for ', state, released_reason), 'nothing'), coalesce(story, 'nothing')) AS detail,
       count(*) OVER () AS faults
FROM redemptions
FULL JOIN lived USING (redemption_id)
WHERE NOT EXISTS (
    SELECT FROM legal
    WHERE legal.state = redemptions.state
      AND legal.reason IS NOT DISTINCT FROM redemptions.released_reason
      AND legal.story = lived.story
      AND (redemptions.redeemed_at IS NOT NULL) = (legal.story LIKE '%redeemed%')
)
ORDER BY redemption_id
LIMIT 1

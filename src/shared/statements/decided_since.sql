-- purpose: what was decided in partitions since a moment, and the campaign of each that most of it was about
-- takes: $1 partition numbers and $2 their ledgers' sequences at that moment (pairwise)
-- returns: {partition_no, claims, hottest: its code, or its name if it has none of its own}, of partitions with any
SELECT decided.partition_no, decided.claims, coalesce(c.code, c.name) AS hottest
FROM (
    SELECT l.partition_no, sum(count(*)) OVER of_partition::bigint AS claims, l.payload::json ->> 'campaign_id' AS campaign_id,
           row_number() OVER (of_partition ORDER BY count(*) DESC, l.payload::json ->> 'campaign_id') AS place
    FROM unnest($1::smallint[], $2::bigint[]) AS since (partition_no, seq)
    JOIN ledger l ON l.partition_no = since.partition_no AND l.seq > since.seq
    WHERE l.kind IN ('claimed', 'refused')
    GROUP BY l.partition_no, campaign_id
    WINDOW of_partition AS (PARTITION BY l.partition_no)
) decided
LEFT JOIN campaigns c ON c.campaign_id = decided.campaign_id::uuid
WHERE decided.place = 1

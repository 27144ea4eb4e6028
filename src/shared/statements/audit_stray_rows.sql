-- purpose: ledger rows of partitions that do not exist, which no chain would lead to
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('partition %s, seq %s', partition_no, seq) AS place,
       'the ledger has a row for a partition that does not exist' AS detail,
       count(*) OVER () AS faults
FROM ledger
WHERE NOT EXISTS (SELECT FROM partitions WHERE partitions.partition_no = ledger.partition_no)
ORDER BY partition_no, seq
LIMIT 1

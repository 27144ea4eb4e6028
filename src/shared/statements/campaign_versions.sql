-- purpose: which of these campaigns have changed since they were read
-- takes: $1 campaign ids
-- returns: {campaign_id, version} for each that exists
SELECT campaign_id, version FROM campaigns WHERE campaign_id = ANY ($1::uuid[])

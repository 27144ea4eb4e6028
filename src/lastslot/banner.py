"""What a person reads once the stack serves: where it is, and three lines to paste."""

from pathlib import Path
from uuid import UUID

from lastslot.running import Stack
from lastslot.sample import SAMPLE_CODE

USER = "usr_42"


def banner(stack: Stack, data_dir: Path, user_token: str, campaign_id: UUID) -> str:
    """Three curl lines that work as they stand: look at a code, take a slot of it, see what is left of the campaign."""
    api = f"{stack.base_url}/api/v1"
    user = f"-H 'Authorization: Bearer {user_token}'"
    admin = f"-H 'Authorization: Bearer {stack.admin_token}'"
    json = "-H 'Content-Type: application/json'"
    redeem = f'{{"code": "{SAMPLE_CODE}", "order_id": "order-1001", "subtotal": 5000}}'
    return f"""
Lastslot serves {stack.base_url}   (documentation: {stack.base_url}/docs, data and logs: {data_dir})
Administrators are served at {stack.admin_url}   (documentation: {stack.admin_url}/docs)

What would the code give?
  curl -s {api}/coupons/validate {json} -d '{{"code": "{SAMPLE_CODE}", "subtotal": 5000}}'

Take a slot as {USER}; asked again, it is the same claim.
  curl -s {api}/coupons/redeem {user} {json} -H 'Idempotency-Key: first-try' -d '{redeem}'

How many are left?
  curl -s {stack.admin_url}/api/v1/campaigns/{campaign_id} {admin}

More tokens: .venv/bin/lastslot token --user {USER} [--scope admin] --data-dir {data_dir}
Ctrl-C stops everything.
"""

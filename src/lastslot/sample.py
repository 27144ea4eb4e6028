"""A campaign to try the engine with: made once per database, through the admin API like any other."""

from uuid import UUID

from lastslot.campaign_office import Office

SAMPLE_CODE = "WELCOME10"


async def ensure_sample(office: Office) -> UUID:
    """The sample campaign's id; it is created when its code is not taken yet. Raises Refused."""
    sample = await office.find(SAMPLE_CODE) or await office.create(
        SAMPLE_CODE,
        name="Ten percent off, to say welcome",
        discount={"type": "percent", "value": 10, "currency": "EUR"},
        total_limit=1000,
        timezone="Europe/Amsterdam",
    )
    return sample.campaign_id

"""The only place that spells a Redis key.

All of a partition's keys carry its hash tag, so that one script may touch them all on a cluster; all but the pointer carry
the incarnation, so that what is left of an earlier life is never mistaken for this one.
"""

from shared.domain.ids import CampaignId, DoorId, Incarnation, PartitionNo
from shared.domain.limits import Subject

CAMPAIGN_CHANGED_CHANNEL = "lastslot:campaign-changed"
CODES_ADDED_CHANNEL = "lastslot:codes-added"
JOBS_QUEUE = "lastslot:jobs"

_LIMITS = "{limits}:of:"
#: Stream: the subjects that were blocked lately.
BLOCKS = "{limits}:blocks"


def incarnation_pointer(partition: PartitionNo) -> str:
    """Which incarnation of this partition is the living one."""
    return f"{{p{partition}}}:incarnation"


def of_partition(partition: PartitionNo) -> str:
    """Pattern: every key of a partition."""
    return f"{{p{partition}}}:*"


def of_incarnation(partition: PartitionNo, incarnation: Incarnation) -> str:
    """How every key of an incarnation begins."""
    return f"{{p{partition}}}:{incarnation}:"


def mailbox(partition: PartitionNo, incarnation: Incarnation) -> str:
    """Stream: the claims that were admitted and are not settled."""
    return of_incarnation(partition, incarnation) + "mail"


def bell(partition: PartitionNo, incarnation: Incarnation) -> str:
    """Stream: campaigns whose gate is cold and awaited."""
    return of_incarnation(partition, incarnation) + "bell"


def reservations(partition: PartitionNo, incarnation: Incarnation) -> str:
    """Hash: claim id → campaign id + user, for every claim in the mailbox."""
    return of_incarnation(partition, incarnation) + "reservations"


def reserved(partition: PartitionNo, incarnation: Incarnation) -> str:
    """Hash: how many reservations a campaign, or a campaign's user, has."""
    return of_incarnation(partition, incarnation) + "reserved"


def active(partition: PartitionNo, incarnation: Incarnation) -> str:
    """Set: campaigns that were asked for since the owner last looked."""
    return of_incarnation(partition, incarnation) + "active"


def term(partition: PartitionNo, incarnation: Incarnation) -> str:
    """Hash: when the incarnation began (ms), and the highest epoch of its owners."""
    return of_incarnation(partition, incarnation) + "term"


def probe(partition: PartitionNo) -> str:
    """String: written by whoever wants to know whether Redis takes what is written (1 s)."""
    return f"{{p{partition}}}:probe"


def seeded(partition: PartitionNo, incarnation: Incarnation) -> str:
    """Set: gates that were warm at any time of this incarnation."""
    return of_incarnation(partition, incarnation) + "seeded"


def gate(partition: PartitionNo, incarnation: Incarnation, campaign: CampaignId) -> str:
    """Hash: a campaign's gate as last settled."""
    return f"{of_incarnation(partition, incarnation)}gate:{campaign.hex}"


def users(partition: PartitionNo, incarnation: Incarnation, campaign: CampaignId) -> str:
    """Hash: user → active redemptions and the ledger sequence that says so; users who released all stay, with 0."""
    return f"{of_incarnation(partition, incarnation)}users:{campaign.hex}"


def marks(partition: PartitionNo, incarnation: Incarnation, campaign: CampaignId) -> str:
    """String: four bytes for each field of `users`, in the order in which they came (see `domain.ids.user_mark`)."""
    return f"{of_incarnation(partition, incarnation)}marks:{campaign.hex}"


def outcome_channel(door: DoorId) -> str:
    """Channel on which a front door hears the outcomes of what it submitted."""
    return f"lastslot:outcomes:{door}"


def campaign_copy(campaign: CampaignId) -> str:
    """A copy of a campaign for all front doors (60 s)."""
    return f"lastslot:campaign:{campaign.hex}"


def limits(subject: Subject) -> str:
    """String: when a subject's buckets are full, and what its failures cost it (see `limit.lua`)."""
    return _LIMITS + subject


def limited_subject(name: str) -> Subject:
    """The subject whose limits have this key."""
    return Subject(name.removeprefix(_LIMITS))

"""Campaigns on a terminal. Cells hold what people typed, so they are texts of their own, never markup."""

from collections.abc import Iterable
from datetime import datetime

from rich.table import Table
from rich.text import Text

from frontdoor.campaign_shapes import CampaignInFull, CampaignMoved, CampaignPage, CampaignShown
from lastslot.printing import empty_table
from shared.campaign_reading import Stats
from shared.domain.discount import Discount
from shared.domain.wall_time import UnknownZone, read_zone

Shown = CampaignShown | CampaignInFull | CampaignPage | Stats


def table_of(answer: Shown) -> Table:
    """The answer as people like to read it."""
    match answer:
        case CampaignInFull():
            return one(answer, *_guarded(answer))
        case CampaignMoved():
            return one(answer, ("admission paused", f"{answer.admission_paused_ms:,} ms"))
        case CampaignShown():
            return one(answer)
        case CampaignPage():
            return many(answer)
        case Stats():
            return numbers(answer)


def one(campaign: CampaignShown, *further: tuple[str, str]) -> Table:
    """Everything about one campaign, a line each; `further` lines come last."""
    return _pairs(
        ("code", campaign.code or "none of its own"),
        ("name", campaign.name),
        ("campaign_id", str(campaign.campaign_id)),
        ("status", campaign.status),
        ("discount", _discount(campaign.discount)),
        ("slots held", _slots(campaign.claimed, campaign.total_limit)),
        ("per user", f"{campaign.per_user_limit:,}"),
        ("starts", _moment(campaign.starts_at, campaign.timezone)),
        ("ends", _moment(campaign.ends_at, campaign.timezone)),
        ("given back on", _released(campaign)),
        ("lives in", _places(campaign)),
        *further,
    )


def _guarded(campaign: CampaignInFull) -> Iterable[tuple[str, str]]:
    """Why the velocity guard paused it, and when it will not."""
    if (pause := campaign.paused_by_guard) is not None:
        usual = f"{pause.attempts:,} attempts in a minute, where {pause.baseline:,.1f} were usual"
        yield "paused by guard", f"{_moment(pause.paused_at, campaign.timezone)}: {usual}"
    for launch in campaign.launches:
        yield "launch", f"{_moment(launch.starts_at, campaign.timezone)} to {_moment(launch.ends_at, campaign.timezone)}"


def many(page: CampaignPage) -> Table:
    """A page, a line each."""
    columns = ("code", "status", "slots held", "discount", "starts", "ends", "campaign_id")
    table = empty_table(*columns, unbroken=("campaign_id",))
    for campaign in page.campaigns:
        table.add_row(
            *_texts(
                campaign.code or "",
                campaign.status,
                _slots(campaign.claimed, campaign.total_limit),
                _discount(campaign.discount),
                _moment(campaign.starts_at, campaign.timezone),
                _moment(campaign.ends_at, campaign.timezone),
                str(campaign.campaign_id),
            )
        )
    return table


def numbers(stats: Stats) -> Table:
    """A campaign's numbers."""
    return _pairs(
        ("status", stats.status),
        ("slots held", _slots(stats.claimed, stats.total_limit)),
        ("remaining", "unlimited" if stats.remaining is None else f"{stats.remaining:,}"),
        ("redeemed", f"{stats.redeemed:,}"),
        ("released", f"{stats.released:,}"),
    )


def _pairs(*pairs: tuple[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for pair in pairs:
        table.add_row(*_texts(*pair))
    return table


def _texts(*cells: str) -> Iterable[Text]:
    return (Text(cell) for cell in cells)


def _slots(claimed: int, total_limit: int | None) -> str:
    return f"{claimed:,} of {'unlimited' if total_limit is None else f'{total_limit:,}'}"


def _discount(discount: Discount) -> str:
    match discount.type:
        case "amount":
            return f"{discount.value} {discount.currency} (minor units)"
        case "percent":
            return f"{discount.value} %"
        case "free_shipping":
            return "free shipping"


def _moment(moment: datetime | None, zone: str) -> str:
    """As the wall of the campaign's zone shows it."""
    if moment is None:
        return "open"
    known = read_zone(zone)
    return moment.isoformat() if isinstance(known, UnknownZone) else f"{moment.astimezone(known):%Y-%m-%d %H:%M:%S} {zone}"


def _places(campaign: CampaignShown) -> str:
    slices, places = len(campaign.partitions), ", ".join(map(str, campaign.partitions))
    return f"partition {places}" if slices == 1 else f"{slices} slices, in partitions {places}"


def _released(campaign: CampaignShown) -> str:
    reasons = [("failure", campaign.release_on_failure), ("refund", campaign.release_on_refund)]
    return ", ".join(reason for reason, released in reasons if released) or "nothing"

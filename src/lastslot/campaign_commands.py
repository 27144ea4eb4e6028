"""`lastslot campaign …`: what the admin API does, from a terminal. A campaign is named by its id or by its code."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import click
import msgspec

from frontdoor.campaign_shapes import CampaignInFull, CampaignMoved, CampaignPage, CampaignShown
from lastslot.campaign_office import Office, with_office
from lastslot.campaign_tables import Shown, table_of
from lastslot.printing import print_table
from shared.campaign_reading import Stats

_TIME = "A wall time of the zone (2026-11-27T09:00), or with an offset (…+09:00)."

Command = Callable[..., None]
Show = Callable[[Coroutine[Any, Any, Shown]], None]


@click.group()
def campaign() -> None:
    """Create, look at and change campaigns."""


def _asking(command: Command) -> Command:
    """Give a command the office to ask, and the way its answer is to be shown, out of options of their own."""

    @with_office("campaigns")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    @wraps(command)
    def asking(office: Office, *, as_json: bool, **options: Any) -> None:
        shown = _as_json if as_json else _as_table
        command(office, lambda answer: shown(asyncio.run(answer)), **options)

    return asking


def _terms(command: Command) -> Command:
    """The options that say what a campaign gives, to how many, when."""
    options = (
        click.option("--name", help="What people call it; at first, its code."),
        click.option("--amount", type=int, help="Gives an amount, in minor units of --currency."),
        click.option("--percent", type=int, help="Gives a percentage."),
        click.option("--free-shipping", is_flag=True, help="Gives free shipping."),
        click.option("--currency", help="Three letters (ISO 4217)."),
        click.option("--limit", type=int, help="How many slots there are."),
        click.option("--unlimited", is_flag=True, help="There is no end of slots."),
        click.option("--per-user", type=int, help="How many of them one user may hold; at first, 1."),
        click.option("--starts-at", help=_TIME),
        click.option("--ends-at", help=_TIME),
        click.option("--release-on-failure/--keep-on-failure", default=None, help="Whether a failed checkout frees the slot."),
        click.option("--release-on-refund/--keep-on-refund", default=None, help="Whether a refund frees the slot."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@campaign.command()
@_asking
@click.argument("code")
@click.option("--timezone", default="UTC", show_default=True, help="IANA name of the zone whose walls show the times.")
@_terms
def create(office: Office, show: Show, code: str, timezone: str, **options: Any) -> None:
    """Create a campaign for CODE, active at once."""
    terms = _body(**options)
    if "discount" not in terms:
        raise click.UsageError("say what it gives: --amount, --percent or --free-shipping")
    if "total_limit" not in terms:
        raise click.UsageError("say how many slots there are: --limit or --unlimited")
    show(office.create(code, timezone=timezone, **terms))


@campaign.command("list")
@_asking
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many.")
@click.option("--after", help="Go on behind the campaign of this id.")
def index(office: Office, show: Show, limit: int, after: str | None) -> None:
    """List campaigns, the newest first."""
    show(office.ask(CampaignPage, "GET", params={"limit": str(limit)} | ({"after": after} if after else {})))


@campaign.command("show")
@_asking
@click.argument("named", metavar="CAMPAIGN")
def show_one(office: Office, show: Show, named: str) -> None:
    """Show one campaign."""
    show(office.ask_about(named, CampaignInFull, "GET"))


@campaign.command()
@_asking
@click.argument("named", metavar="CAMPAIGN")
@click.option("--no-start", is_flag=True, help="It has no beginning.")
@click.option("--no-end", is_flag=True, help="It has no end.")
@_terms
def change(office: Office, show: Show, named: str, no_start: bool, no_end: bool, **options: Any) -> None:
    """Change what is named; the rest stays."""
    opened: dict[str, None] = dict.fromkeys([end for end, gone in (("starts_at", no_start), ("ends_at", no_end)) if gone])
    terms = _body(**options)
    if opened.keys() & terms.keys():
        raise click.UsageError("an end of the window is either set or taken away")
    if not opened and not terms:
        raise click.UsageError("say what is to be different")
    show(office.ask_about(named, CampaignShown, "PATCH", json=opened | terms))


@campaign.command()
@_asking
@click.argument("named", metavar="CAMPAIGN")
def pause(office: Office, show: Show, named: str) -> None:
    """Give nothing until it is resumed."""
    show(office.ask_about(named, CampaignShown, "POST", "/pause"))


@campaign.command()
@_asking
@click.argument("named", metavar="CAMPAIGN")
def resume(office: Office, show: Show, named: str) -> None:
    """Go on giving after a pause."""
    show(office.ask_about(named, CampaignShown, "POST", "/resume"))


@campaign.command()
@_asking
@click.argument("named", metavar="CAMPAIGN")
@click.option("--starts-at", required=True, help=_TIME)
@click.option("--ends-at", required=True, help=_TIME)
def launch(office: Office, show: Show, named: str, starts_at: str, ends_at: str) -> None:
    """Announce a launch, for which the velocity guard does not pause it."""
    times = {"starts_at": starts_at, "ends_at": ends_at}
    show(office.ask_about(named, CampaignInFull, "POST", "/launches", json=times))


@campaign.command()
@_asking
@click.argument("named", metavar="CAMPAIGN")
@click.option("--slices", type=int, required=True, help="How many slices; each lives in a partition of its own.")
def split(office: Office, show: Show, named: str, slices: int) -> None:
    """Cut a hot campaign into slices while it runs."""
    show(office.ask_about(named, CampaignMoved, "POST", "/split", json={"slices": slices}))


@campaign.command()
@_asking
@click.argument("named", metavar="CAMPAIGN")
@click.option("--partition", type=int, required=True, help="The number of the partition.")
def move(office: Office, show: Show, named: str, partition: int) -> None:
    """Have a campaign live in another partition, while it runs."""
    show(office.ask_about(named, CampaignMoved, "POST", "/move", json={"partition": partition}))


@campaign.command()
@_asking
@click.argument("named", metavar="CAMPAIGN")
def end(office: Office, show: Show, named: str) -> None:
    """Give nothing any more. There is no way back."""
    show(office.ask_about(named, CampaignShown, "POST", "/end"))


@campaign.command()
@_asking
@click.argument("named", metavar="CAMPAIGN")
def stats(office: Office, show: Show, named: str) -> None:
    """Count what is held, redeemed and released."""
    show(office.ask_about(named, Stats, "GET", "/stats"))


def _body(
    *,
    amount: int | None,
    percent: int | None,
    free_shipping: bool,
    currency: str | None,
    limit: int | None,
    unlimited: bool,
    per_user: int | None,
    **same: Any,
) -> dict[str, Any]:
    """The body that the options make; those not given are left out."""
    body = {name: value for name, value in (*same.items(), ("per_user_limit", per_user)) if value is not None}
    given = [("amount", amount), ("percent", percent), ("free_shipping", 0 if free_shipping else None)]
    discounts = [{"type": kind, "value": value, "currency": currency} for kind, value in given if value is not None]
    if len(discounts) > 1 or (limit is not None and unlimited):
        raise click.UsageError("give one discount and one limit")
    if currency is not None and not discounts:
        raise click.UsageError("--currency goes with --amount or --percent")
    if discounts:
        body["discount"] = discounts[0]
    if limit is not None or unlimited:
        body["total_limit"] = limit
    return body


def _as_json(answer: Shown) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2))


def _as_table(answer: Shown) -> None:
    print_table(table_of(answer))

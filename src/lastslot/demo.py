"""The demonstration: 1,000 slots, 10,000 people in the same second, and the proof read from the database."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from uuid import UUID

import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lastslot.burst import Answer, fire, percentile
from lastslot.crowd import Crowd, Heard, gather, open_campaign, press_redeem, problem_code
from lastslot.datadir import find_stack
from lastslot.running import Stack, own_stack
from shared.audit import AuditReport, CampaignProof, audit, audit_campaign

_RETRIES = 200
_REFRESH_S = 0.05

#: What people can hear, in the order of the table. Whoever had to ask twice may hear of a first success as a 200.
_WON, _SOLD_OUT, _ALREADY, _ERROR = "won", "sold out", "already redeemed", "errors"


class Verdict(msgspec.Struct, frozen=True):
    """One thing that must hold, and what was seen."""

    says: str
    seen: str
    holds: bool


def demo(data_dir: Path, people: int, slots: int, connections: int) -> int:
    """Run it on the stack that serves `data_dir`, or on one of its own. The exit code: 0 when everything holds."""
    return uvloop.run(_demo(Console(), data_dir, people, slots, connections))


async def _demo(console: Console, data_dir: Path, people: int, slots: int, connections: int) -> int:
    async with _stack(console, data_dir) as stack:
        code = f"BLACKFRI100-{token_hex(3).upper()}"
        opened = await open_campaign(stack, code, slots)
        console.print(f"\n[bold]{code}[/]  {slots:,} slots, one per user. {people:,} people press redeem.")
        crowd = gather(stack, code, people, token_hex(4))
        heard = await _watch(console, crowd, connections)
        console.print(_answers_table(heard))
        kept = await _ask_again(crowd, [answer for answer in heard.answers if _word(answer) == _WON])
        proof = await audit_campaign(stack.postgres_dsn, opened.campaign_id)
        verdicts = _verdicts(heard, kept, proof, await audit(stack.postgres_dsn), min(people, slots))
        console.print(_verdicts_table(verdicts))
        if not all(verdict.holds for verdict in verdicts):
            console.print("[bold red]Something is off: see the lines above.[/]\n")
            return 1
        console.print(f"[bold green]Exactly {min(people, slots):,} winners, and every one of them is in the database.[/]\n")
        return 0


@asynccontextmanager
async def _stack(console: Console, data_dir: Path) -> AsyncIterator[Stack]:
    stack = await find_stack(data_dir)
    if stack is not None:
        console.print(f"On the stack that serves {data_dir}: {stack.base_url}")
        yield stack
        return
    console.print(f"No stack serves {data_dir}: starting one for the while.")
    async with own_stack() as stack:
        yield stack


async def _watch(console: Console, crowd: Crowd, connections: int) -> Heard:
    """Press redeem, and show how it goes. The bar looks at a count now and then: drawing each answer would slow them down."""
    words = dict.fromkeys((_WON, _SOLD_OUT, _ALREADY, _ERROR), 0)

    def count(answer: Answer) -> None:
        words[_word(answer)] += 1

    columns = TextColumn("  redeem"), BarColumn(46), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        bar = progress.add_task("", total=len(crowd.requests))

        def draw() -> None:
            seen = f"[green]won {words[_WON]:,}[/]  [yellow]sold out {words[_SOLD_OUT]:,}[/]"
            progress.update(bar, completed=sum(words.values()), description=seen, refresh=True)

        async def keep_drawing() -> None:
            while True:
                draw()
                await asyncio.sleep(_REFRESH_S)

        drawing = asyncio.create_task(keep_drawing())
        try:
            return await press_redeem(crowd, connections, count)
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing
            draw()


async def _ask_again(crowd: Crowd, won: list[Answer]) -> list[bool]:
    """For winners spread over the burst: whether their own request, sent once more, brings their own redemption."""
    winners = won[:: max(1, len(won) // _RETRIES)][:_RETRIES]
    requests = [crowd.requests[winner.index] for winner in winners]
    again = await fire(crowd.host, crowd.port, requests, keep_bodies=True)
    return [after.status == 200 and _claim_id(after) == _claim_id(before) for before, after in zip(winners, again, strict=True)]


def _claim_id(answer: Answer) -> UUID:
    return msgspec.json.decode(answer.body, type=_Shown).claim_id


class _Shown(msgspec.Struct):
    claim_id: UUID


def _word(answer: Answer) -> str:
    match answer.status:
        case 200 | 201:
            return _WON
        case 410:
            return _SOLD_OUT
        case 409 if problem_code(answer) == "already_redeemed":
            return _ALREADY
    return _ERROR


def _answers_table(heard: Heard) -> Table:
    seconds = _seconds(heard.answers)
    table = Table(title=f"\n{len(heard.answers):,} answers in {seconds:.2f} s", title_justify="left", title_style="bold")
    for column in ("heard", "people", "p50", "p99"):
        table.add_column(column, justify="left" if column == "heard" else "right")
    for word in (_WON, _SOLD_OUT, _ALREADY, _ERROR):
        table.add_row(word, *_figures([answer for answer in heard.answers if _word(answer) == word]))
    table.add_section()
    table.add_row("all", *_figures(heard.answers))
    if heard.asked_again or heard.polled:
        table.caption = f"asked again after a 503 or a lost connection: {heard.asked_again:,}; followed a 202: {heard.polled:,}"
    return table


def _figures(answers: list[Answer]) -> tuple[str, str, str]:
    if not answers:
        return "0", "", ""
    return f"{len(answers):,}", f"{percentile(answers, 50) * 1e3:,.0f} ms", f"{percentile(answers, 99) * 1e3:,.0f} ms"


def _seconds(answers: Iterable[Answer]) -> float:
    return max(answer.started + answer.seconds for answer in answers) - min(answer.started for answer in answers)


def _verdicts(heard: Heard, kept: list[bool], proof: CampaignProof | None, whole: AuditReport, winners: int) -> list[Verdict]:
    words = [_word(answer) for answer in heard.answers]
    if proof is None:
        return [Verdict("the campaign is in the database", "it is not", False)]
    budget = "unlimited" if proof.budget is None else f"{proof.budget:,}"
    return [
        Verdict("winners were told so", f"{words.count(_WON):,}", words.count(_WON) == winners),
        Verdict("nobody got an error", f"{words.count(_ERROR):,} errors", _ERROR not in words),
        Verdict("active redemptions", f"{proof.active:,}", proof.active == winners),
        Verdict("distinct users", f"{proof.users:,}", proof.users == winners),
        Verdict("claimed of the budget", f"{proof.claimed:,} of {budget}", proof.claimed == winners),
        Verdict("winners asking again get their own", f"{sum(kept):,} of {len(kept):,}", all(kept) and bool(kept)),
        Verdict("the ledger's chain and every invariant hold", _audited(whole), proof.chain_intact and whole.clean),
    ]


def _audited(whole: AuditReport) -> str:
    if whole.clean:
        return f"{whole.ledger_rows:,} rows"
    return "; ".join(f"{fault.kind}: {fault.where}" for fault in whole.faults)


def _verdicts_table(verdicts: list[Verdict]) -> Table:
    table = Table(title="\nThe proof, from Postgres", title_justify="left", title_style="bold", show_header=False)
    for verdict in verdicts:
        table.add_row("[green]✔[/]" if verdict.holds else "[red]✘[/]", verdict.says, f"[bold]{verdict.seen}[/]")
    return table

"""The report: one HTML page that needs nothing but itself, made of the records and of nothing else."""

from collections.abc import Iterator
from html import escape

from loadtest import sketches
from loadtest.demands import Records, verdicts, verdicts_grid
from loadtest.figures import growth_grid, notes, scenario_grid
from loadtest.grids import in_html
from loadtest.growths import GROWTHS
from loadtest.paced_figures import breaking_points, calls_of, steps_grid
from loadtest.records import Bench, Growth, OpenLoop, Taken
from loadtest.scenarios import SCENARIOS

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1180px; margin: 2.5em auto; padding: 0 1.5em }
h1 { font-weight: 600; margin-bottom: .2em } h2 { font-weight: 600; margin: 2.6em 0 .4em }
h3 { font-weight: 600; font-size: 1em }
table { border-collapse: collapse; margin: .8em 0; font-size: .92em }
th { font-weight: 500; color: #666; text-align: left; border-bottom: 1px solid #bbb }
th, td { padding: .2em .9em .2em 0 } .figure { text-align: right; font-variant-numeric: tabular-nums }
.own td { font-weight: 600 } p.small { color: #666; font-size: .87em; max-width: 60em }
figure { display: inline-block; margin: 1em 1.2em 0 0; vertical-align: top }
figcaption { font-weight: 500; margin-bottom: .3em }
svg { max-width: 100%; height: auto }
"""


def page(records: Records) -> str:
    """The whole page; what was not measured is left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Lastslot: what it does under load</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(_parts(records))
        + "\n</body></html>\n"
    )


def _parts(records: Records) -> Iterator[str]:
    yield "<h1>Lastslot under load</h1>"
    yield _small(
        "Every figure is the median of rounds in which all took turns; ratios are taken round by round. Every round was "
        "checked: exactly as many won as there were slots, nobody twice. Bare aiohttp reads the body and answers constant JSON."
    )
    yield "<h2>What is demanded</h2>"
    yield in_html(verdicts_grid(verdicts(records)))
    for name in SCENARIOS:
        if (bench := records.bench(name)) is not None:
            yield from _scenario(bench)
            if bench.name == "burst":
                yield from _timeline(records)
    if (loop := records.open_loop()) is not None:
        yield from _open_loop(loop)
    grown = [growth for name in GROWTHS if (growth := records.growth(name)) is not None]
    if grown:
        yield "<h2>Growth</h2>"
        yield _small("CPU is that of all processes of a kind, for one answer; memory is that of the largest process.")
    for growth in grown:
        yield from _growth(growth)


def _scenario(bench: Bench) -> Iterator[str]:
    yield f"<h2>{escape(bench.title)}</h2>"
    yield in_html(scenario_grid(bench))
    yield _small("; ".join(notes(bench)))
    yield _figure("How latencies are spread", sketches.latencies(bench))
    yield _where(bench.taken)


def _timeline(records: Records) -> Iterator[str]:
    timeline = records.timeline()
    if timeline is None:
        return
    yield "<h3>One burst as it went</h3>"
    yield _figure("Answers", sketches.answers_over_time(timeline))
    yield _figure("Winners: on the disk, and told", sketches.winners_over_time(timeline))
    yield _where(timeline.taken)


def _open_loop(loop: OpenLoop) -> Iterator[str]:
    yield "<h2>At given rates</h2>"
    yield _small(
        f"People come at random moments for {loop.seconds:g} s, whatever the answers do; latency counts from the moment at "
        "which each came, and contains what the client itself was late."
    )
    for call, steps in calls_of(loop).items():
        grid = steps_grid(call, steps)
        yield f"<h3>{escape(grid.title)}</h3>"
        yield in_html(grid)
        yield _small("; ".join(breaking_points(steps)))
        yield _figure("Latency by rate", sketches.offered(steps))
        lowest = min(step.offered for step in steps)
        yield _figure(f"How latencies are spread at {lowest:,}/s", sketches.paced_latencies(steps, lowest))
    yield _where(loop.taken)


def _growth(growth: Growth) -> Iterator[str]:
    grid = growth_grid(growth)
    yield f"<h3>{escape(grid.title)}</h3>"
    yield in_html(grid)
    yield _figure("Throughput", sketches.throughput(growth))
    yield _figure("Memory", sketches.memory(growth))
    yield _where(growth.taken)


def _figure(caption: str, drawing: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>\n{drawing}</figure>" if drawing else ""


def _where(when: Taken) -> str:
    return _small(f"{when.at:%Y-%m-%d %H:%M} UTC, {when.machine}")


def _small(text: str) -> str:
    return f"<p class=small>{escape(text)}</p>"

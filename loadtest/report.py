"""The report, and the tables of docs/performance.md, from what was measured last.

python -m loadtest.report            writes loadtest/report/index.html
python -m loadtest.report --docs     also writes the tables between the marks of docs/performance.md
python -m loadtest.report --judge    exits with 1 unless everything that is demanded was measured and holds
"""

import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from loadtest.demands import Records, print_verdicts, verdicts, verdicts_grid
from loadtest.figures import growth_grid, notes, scenario_grid
from loadtest.grids import Grid, in_markdown
from loadtest.growths import GROWTHS
from loadtest.paced_figures import breaking_points, calls_of, steps_grid
from loadtest.page import page
from loadtest.records import REPORT, Taken
from loadtest.scenarios import SCENARIOS

DOCS = Path(__file__).parents[1] / "docs" / "performance.md"

_MARKED = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def write_page(records: Records, directory: Path = REPORT) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "index.html"
    path.write_text(page(records))
    return path


def with_figures(text: str, records: Records) -> str:
    """A page's text with what stands between its marks written anew; what was not measured stays as it is."""

    def anew(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        figures = _figures(name, records)
        return found.group() if figures is None else f"{begin}{figures}\n{end}"

    return _MARKED.sub(anew, text)


def _figures(name: str, records: Records) -> str | None:
    """What is to stand between the marks of this name. Raises KeyError when there is no such benchmark."""
    return _WRITERS[name](records)


def _demands(records: Records) -> str:
    return in_markdown(verdicts_grid(verdicts(records)))


def _bench(name: str) -> Callable[[Records], str | None]:
    def write(records: Records) -> str | None:
        bench = records.bench(name)
        return None if bench is None else _section(scenario_grid(bench), notes(bench), bench.taken)

    return write


def _open_loop(records: Records) -> str | None:
    loop = records.open_loop()
    if loop is None:
        return None
    parts = [_section(steps_grid(call, steps), breaking_points(steps), None) for call, steps in calls_of(loop).items()]
    return "\n\n".join([*parts, _where(loop.taken)])


def _growth(name: str) -> Callable[[Records], str | None]:
    def write(records: Records) -> str | None:
        growth = records.growth(name)
        return None if growth is None else _section(growth_grid(growth), [], growth.taken)

    return write


def _section(grid: Grid, lines: list[str], when: Taken | None) -> str:
    parts = [
        f"{grid.title}:",
        in_markdown(grid),
        *(["; ".join(lines) + "."] if lines else []),
        *([_where(when)] if when else []),
    ]
    return "\n\n".join(parts)


def _where(when: Taken) -> str:
    return f"<sub>{when.at:%Y-%m-%d %H:%M} UTC, {when.machine}</sub>"


_WRITERS: dict[str, Callable[[Records], str | None]] = {
    "demands": _demands,
    "open_loop": _open_loop,
    **{name: _bench(name) for name in SCENARIOS},
    **{f"growth-{name}": _growth(name) for name in GROWTHS},
}


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--docs", action="store_true", help="also write the tables of docs/performance.md")
    parser.add_argument("--judge", action="store_true", help="exit with 1 unless all that is demanded was measured and holds")
    return parser.parse_args()


def main() -> int:
    given, records, console = _arguments(), Records(), Console(width=max(Console().width, 140))
    console.print(f"written: {write_page(records)}", highlight=False, soft_wrap=True)
    if given.docs:
        DOCS.write_text(with_figures(DOCS.read_text(), records))
        console.print(f"written: {DOCS}", highlight=False, soft_wrap=True)
    holds = print_verdicts(console)
    return 0 if holds or not given.judge else 1


if __name__ == "__main__":
    sys.exit(main())

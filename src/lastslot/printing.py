"""Tables as all commands print them: as wide as the terminal, and wide enough for their cells where there is none."""

import sys
from collections.abc import Collection
from typing import Literal

from rich.console import Console
from rich.table import Table

#: How wide a table is when it goes into a file or a pipe.
_PAPER_WIDTH = 200


def empty_table(*columns: str, numbers: Collection[str] = (), unbroken: Collection[str] = ()) -> Table:
    """A table with these columns. `numbers` stand right; what is `unbroken` is for copying, and stays in one piece."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column in unbroken)
    return table


def print_table(table: Table) -> None:
    """Print a table to stdout."""
    Console(width=None if sys.stdout.isatty() else _PAPER_WIDTH).print(table)

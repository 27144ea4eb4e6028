"""Printing tables: as wide as the terminal, and wide enough for their cells where there is none."""

import sys

from rich.console import Console
from rich.table import Table

#: How wide a table is when it goes into a file or a pipe.
_PAPER_WIDTH = 200


def print_table(table: Table) -> None:
    """Print a table to stdout."""
    Console(width=None if sys.stdout.isatty() else _PAPER_WIDTH).print(table)

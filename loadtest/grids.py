"""A table, and its three looks: in the terminal, in Markdown, in HTML. Pure: text in, text out."""

from collections.abc import Sequence
from html import escape

import msgspec
from rich.table import Table


class Grid(msgspec.Struct, frozen=True):
    """Rows of text under a head. The first `words` columns are words and stand left, all others figures.

    A row whose first word is `own` is set off. The last column is words too if `remark`.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    own: str = "lastslot"
    remark: bool = False

    def is_figure(self, column: int) -> bool:
        return column >= self.words and not (self.remark and column == len(self.head) - 1)

    def is_own(self, row: Sequence[str]) -> bool:
        return self.own in row[: self.words]


def in_terminal(grid: Grid) -> Table:
    table = Table(title=f"\n{grid.title}", title_justify="left", title_style="bold")
    for column, name in enumerate(grid.head):
        table.add_column(name, justify="right" if grid.is_figure(column) else "left")
    for row in grid.rows:
        table.add_row(*row, style="bold" if grid.is_own(row) else None)
    return table


def in_markdown(grid: Grid) -> str:
    ruler = ["---:" if grid.is_figure(column) else "---" for column in range(len(grid.head))]
    lines = [list(grid.head), ruler]
    for row in grid.rows:
        lines.append([f"**{cell}**" if grid.is_own(row) and cell == grid.own else cell for cell in row])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def in_html(grid: Grid) -> str:
    head = "".join(f"<th{_figure(grid, column)}>{escape(name)}</th>" for column, name in enumerate(grid.head))
    body = "".join(
        f"<tr{' class=own' if grid.is_own(row) else ''}>"
        + "".join(f"<td{_figure(grid, column)}>{escape(cell)}</td>" for column, cell in enumerate(row))
        + "</tr>\n"
        for row in grid.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _figure(grid: Grid, column: int) -> str:
    return " class=figure" if grid.is_figure(column) else ""

"""Rows for a person who looks at a terminal, and for programs that read lines."""

import sys
from collections.abc import Sequence

from airlock_wire import quote


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with headings on a terminal, else each row as a line of cells between tabs.

    A cell that would break its line is quoted.
    """
    shown = [[cell if cell.isprintable() else quote(cell, limit=None) for cell in r] for r in rows]
    if not sys.stdout.isatty():
        for row in shown:
            print(*row, sep="\t")
        return
    table = [[*headings], *shown]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())

"""How wide a table of campaigns is: what may be broken in it, and the air between its columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDEST = 20
"""Campaigns' names up to so many characters are not broken in a table: the other columns give way."""


def whole(campaigns: Iterable[str]) -> bool:
    """Whether a table of these campaigns leaves their names in one piece."""
    return max(map(len, campaigns), default=0) <= WIDEST


def fitting(screen: Console, draw: Callable[[int], Table]) -> Table:
    """A table, drawn with as much air between its columns as the terminal has room for: 1 or 0."""
    airy = draw(1)
    return airy if fits(screen, airy) else draw(0)


def fits(screen: Console, table: Table) -> bool:
    """Whether the terminal has room for the whole of a table."""
    return Measurement.get(screen, screen.options.update(max_width=10 * screen.width), table).maximum <= screen.width


def headed(title: str, campaigns: Collection[str], names: Sequence[str], numbers: Sequence[str], air: int) -> Table:
    """A table of campaigns, without its rows: `names` stand left, the campaign's first, `numbers` right."""
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True,
        padding=(0, air),
    )  # fmt: skip
    for name in names:
        unbroken = whole(campaigns) if name == "campaign" else name == "channel"
        table.add_column(name, no_wrap=unbroken, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", overflow="fold")
    return table

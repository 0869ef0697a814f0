"""`regulars simulate`: the daemon over a stepped clock and a copy of the database, and nothing is sent."""

from __future__ import annotations

import logging
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from engine.cli.app import HERE, AsJson, Where, log_to_stderr, moment, notes, screen, show_json
from engine.cli.shop_clock import ShopClock
from engine.cli.widths import fits, whole
from engine.rules.workspace import load_workspace
from engine.settings import load_environment
from engine.simulation.calendar import Pressure, Simulation
from engine.simulation.play import simulate as play

ALL = "all"
"""The calendar's last column: no campaign's, as each is headed by its channel, too."""


class By(StrEnum):
    DAY = "day"
    WEEK = "week"


From = Annotated[
    str, typer.Option("--from", metavar="TIME", help="The first moment: 1998-01-01, 1998-01-01T10:00, `90 days ago`.")
]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="The last moment: a time like that, or `now`.")]


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    start: From,
    end: To,
    folder: Where = HERE,
    by: Annotated[By, typer.Option("--by", help="A line of the calendar for each day, or each week.")] = By.WEEK,
    as_json: AsJson = False,
) -> None:
    """What would go out between two moments: the daemon, stepped over a copy of the database. Nothing is sent."""
    load_environment(folder)
    log_to_stderr(logging.ERROR)
    workspace = load_workspace(folder)
    zone = workspace.settings.time_zone
    first, last = moment(start, zone, option="--from"), moment(end, zone, option="--to")
    with _ended_by_sigterm(), _progress(first, last, zone) as on_step:
        simulated = play(workspace, start=first, end=last, on_step=on_step)
    if as_json:
        show_json(simulated)
    else:
        simulation_page(screen, simulated, by=by)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """As by Ctrl-C: what was made on the way, a copy of all customers, is taken away."""
    former = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def _progress(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Callable[[datetime], None]]:
    """A bar from the first moment to the last, for a person."""
    with Progress(console=notes, transient=True, disable=not notes.is_terminal) as bar:
        task = bar.add_task("simulating", total=max((end - start).total_seconds(), 1))

        def on_step(now: datetime) -> None:
            bar.update(task, completed=(now - start).total_seconds(), description=f"{now.astimezone(zone):%Y-%m-%d}")

        yield on_step


# ---------------------------------------------------------------- the page


def simulation_page(page: Console, simulated: Simulation, *, by: By) -> None:
    """The calendar, what was withheld and why, and the pressure. Fits 80 columns."""
    at = ShopClock(simulated.time_zone)
    page.print(
        f"[italic]Simulated from {at(simulated.start)} to {at(simulated.end)} ({simulated.time_zone}); nothing was sent[/italic]",
        highlight=False,
    )
    if not simulated.days:
        page.print("Nothing would go out.", "")
    for table in _calendars(page, simulated, by):
        page.print(table, "")
    page.print(_books(simulated), "", sep="\n")
    for line in simulated.lines:
        reasons = {"withheld": line.withheld, "held for a while": line.held}
        words = [f"{what}: {_words(counts)}" for what, counts in reasons.items() if counts]
        if words:
            page.print(f"[bold]{escape(line.campaign)}[/bold] ({line.channel}) {'; '.join(words)}", highlight=False)
    _pressure(page, simulated.pressure)
    if simulated.not_simulated:
        page.print(f"[dim]Not simulated, because they wait for a call: {', '.join(simulated.not_simulated)}.[/dim]")


def _table(title: str, *names: str, unbroken: Collection[str] = ()) -> Table:
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True
    )
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index else "left", overflow="fold", no_wrap=name in unbroken)
    return table


def _calendars(page: Console, simulated: Simulation, by: By) -> Iterator[Table]:
    """The calendar, in as many tables below each other as it needs to break no campaign's name."""
    sent: defaultdict[date, Counter[str]] = defaultdict(Counter)
    for day in simulated.days:
        begins = day.day - timedelta(days=day.day.weekday()) if by is By.WEEK else day.day
        sent[begins][f"{day.campaign}\n{day.channel}"] += day.sent
    campaigns, title = sorted({name for counts in sent.values() for name in counts}), "What would go out"
    names = [*campaigns, ALL] if campaigns else []
    while names:
        some = next(
            some for some in range(len(names), 0, -1) if some == 1 or fits(page, _calendar("", by, sent, names[:some]))
        )
        yield _calendar(title, by, sent, names[:some])
        names, title = names[some:], ""


def _calendar(title: str, by: By, sent: Mapping[date, Counter[str]], names: Sequence[str]) -> Table:
    table = _table(title, "week of" if by is By.WEEK else "day", *names, unbroken=names)
    for begins, counts in sorted(sent.items()):
        row = (counts.total() if name == ALL else counts[name] for name in names)
        table.add_row(str(begins), *map(_number, row))
    return table


def _books(simulated: Simulation) -> Table:
    unbroken = ("campaign",) if whole(line.campaign for line in simulated.lines) else ()
    columns = ("campaign", "channel", "owed", "sent", "withheld", "open")
    table = _table("What would become of what is owed", *columns, unbroken=unbroken)
    for line in simulated.lines:
        numbers = (line.owed, line.sent, sum(line.withheld.values()), line.open)
        table.add_row(line.campaign, line.channel, *map(_number, numbers))
    return table


def _pressure(page: Console, pressure: Pressure) -> None:
    page.print(
        f"[bold]Pressure[/bold]: {pressure.written_to:,} of {pressure.customers:,} customers are written to; "
        f"the most within any 7 days:",
        highlight=False,
    )
    for most, count in pressure.by_most.items():
        share = count / pressure.written_to
        bar = "█" * max(1, round(40 * share))
        page.print(f"  {most:>3} {'message ' if most == 1 else 'messages'}  {count:>9,}  {bar}", highlight=False)
    if pressure.most_written_to:
        top = ", ".join(f"{one.customer} ({one.messages})" for one in pressure.most_written_to)
        page.print(f"  [dim]most written to, in all:[/dim] {escape(top)}", highlight=False)


def _number(count: int) -> str:
    return f"{count:,}" if count else "·"


def _words(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in reasons.items())

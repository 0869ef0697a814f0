"""The pages that a person reads on the terminal: audience, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from engine.cli.arms import arms_table, told
from engine.cli.shop_clock import ShopClock
from engine.cli.widths import fitting, headed
from engine.ledger.posts import COUNTS
from engine.measure.goals import Afterwards
from engine.measure.report import Deed, Line, Report
from engine.model import State
from engine.questions.audience import Audience, Sizes
from engine.scalars import spoken


def audience_page(screen: Console, found: Audience, *, sql: bool) -> None:
    share = f" ({found.count / found.customers:.1%})" if found.customers else ""
    screen.print(
        f"[bold]{escape(found.name)}[/bold]: {found.count:,} of {found.customers:,} customers{share}", highlight=False
    )
    if found.sample:
        screen.print(f"[dim]for example[/dim] {escape(', '.join(found.sample))}", highlight=False)
    for one in found.missing:
        screen.print(f"[yellow]warning[/yellow]: {escape(str(one))}", highlight=False)
    if sql:
        screen.print(Syntax(found.sql, "sql", word_wrap=True, background_color="default"))
        screen.print("[dim]query plan[/dim]", *(escape(line) for line in found.query_plan), sep="\n", highlight=False)


def sizes_page(screen: Console, found: Sizes) -> None:
    """A line a segment, in the order of their names."""
    page = Table("segment", "customers", "of all", "who", box=SIMPLE_HEAD, title=f"{found.customers:,} customers")
    for place in (1, 2):
        page.columns[place].justify = "right"
    for one in found.segments:
        share = f"{one.count / found.customers:.1%}" if found.customers else "–"
        page.add_row(escape(one.name), f"{one.count:,}", share, escape(one.description))
    screen.print(page)


def report_page(screen: Console, read: Report, *, currency: str, time_zone: str) -> None:
    """The report: what became of the messages, what people did, and the reasons in words. Fits 80 columns; times by the shop's clock."""
    at = ShopClock(time_zone)
    screen.print(f"[italic]Report as of {at(read.as_of)} ({time_zone})[/italic]", highlight=False)
    for draw in _tables(read, at, currency):
        screen.print(fitting(screen, draw), "")
    costs = [f"{line.campaign} {line.cost:,.2f}" for line in read.lines if line.cost]
    if costs:
        screen.print(
            f"[bold]cost[/bold] in {currency}, by the prices of config.yaml: {', '.join(costs)}", highlight=False
        )
    for line in read.lines:
        reasons = {
            "withheld": line.withheld,
            "held for a while": line.held,
            "rejected": line.rejected,
            "dead": line.dead,
        }
        if known := [f"{what}: {_words(counts)}" for what, counts in reasons.items() if counts]:
            screen.print(f"[bold]{line.campaign}[/bold] ({line.channel}) {'; '.join(known)}", highlight=False)
        if line.arms and (words := told(line.arms)):
            screen.print(f"[bold]{line.campaign}[/bold] ({line.channel}) {words}", highlight=False)
        if line.did:
            screen.print(f"[bold]{line.campaign}[/bold] ({line.channel}) {_did(line.did)}", highlight=False)
    for brake in read.paused:
        screen.print(f"[yellow]paused[/yellow] {brake.whom}: {escape(brake.why)}", highlight=False)
    for one in read.held:
        screen.print(f"[yellow]held[/yellow] {one.campaign} {one.occurrence}: {escape(one.why)}", highlight=False)
    screen.print(_balance(read), highlight=False)


def _tables(read: Report, at: ShopClock, currency: str) -> Iterator[Callable[[int], Table]]:
    """Each table that has lines, to be drawn with so much air between its columns."""
    yield partial(_table, "What became of what was owed", read.lines, _books(read), (), channel=True)
    if people := tuple(line for line in read.lines if not line.to_everybody):
        yield partial(_table, "What people did, and bought afterwards", people, _PEOPLE, ("bought", f"for {currency}"))
    if tried := [line for line in read.lines if line.arms]:
        yield partial(arms_table, tried, currency)
    if posted := [line for line in read.lines if line.fared]:
        yield partial(_posts, posted, at)


def _table(
    title: str,
    lines: Sequence[Line],
    columns: Mapping[str, Callable[[Line], int]],
    after: tuple[str, ...],
    air: int,
    *,
    channel: bool = False,
) -> Table:
    """One line a campaign and channel; `after` heads the columns of what was bought."""
    table = headed(
        title,
        [line.campaign for line in lines],
        ("campaign", "channel") if channel else ("campaign",),
        (*columns, *after),
        air,
    )
    for line in lines:
        bought = _afterwards(line.afterwards) if after else ()
        names = (line.campaign, line.channel) if channel else (line.campaign,)
        table.add_row(*names, *(_number(count(line)) for count in columns.values()), *bought)
    return table


def _posts(lines: Sequence[Line], at: ShopClock, air: int) -> Table:
    """How posts to everybody fared; – for what a network does not tell."""
    variants = any(fared.variant for line in lines for fared in line.fared)
    names = ("campaign", "by", *(["variant"] if variants else []))
    table = headed("How posts fared", [line.campaign for line in lines], names, ("posts", *COUNTS, "counted"), air)
    for line in lines:
        for fared in line.fared:
            counts = [getattr(fared, name) for name in COUNTS]
            posts = f"{fared.posts:,}" + (f" ({fared.gone:,} gone)" if fared.gone else "")
            shown = (_number(count) if count is not None else "–" for count in counts)
            which = [fared.variant or "–"] if variants else []
            table.add_row(line.campaign, fared.provider, *which, posts, *shown, at.soon(fared.as_of))
    return table


def _books(read: Report) -> Mapping[str, Callable[[Line], int]]:
    """The columns of the books; the dead, who are rare, have one only where there are any."""
    return {name: count for name, count in _BOOKS.items() if name != "dead" or any(map(count, read.lines))}


def _in(*states: State) -> Callable[[Line], int]:
    return lambda line: sum(line.states.get(state, 0) for state in states)


_BOOKS: Mapping[str, Callable[[Line], int]] = {
    "runs": lambda line: line.runs,
    "owed": lambda line: line.owed,
    "sent": lambda line: line.sent,
    "rejected": _in(State.REJECTED),
    "withheld": _in(State.SKIPPED, State.EXPIRED, State.CANCELLED),
    "dead": _in(State.DEAD),
    "unknown": _in(State.UNKNOWN),
    "open": lambda line: line.open,
}
"""owed = sent + rejected + withheld + dead + unknown + open."""

_PEOPLE: Mapping[str, Callable[[Line], int]] = {
    "delivered": lambda line: line.delivered,
    "opened": lambda line: line.opened,
    "clicked": lambda line: line.clicked,
    "bounced": lambda line: line.bounced,
    "left": lambda line: line.opted_out + line.complained,
}


def _balance(read: Report) -> str:
    wrong = [line.campaign for line in read.lines if not line.balanced]
    spans = {line.afterwards.within: line.afterwards.event for line in read.lines if line.afterwards}
    books = (
        f"[red]The books do not balance: {', '.join(wrong)}.[/red]"
        if wrong
        else "[green]The books balance: every message that was owed is in exactly one state.[/green]"
    )
    if not spans:
        return books
    goals = ", ".join(f"{event} within {spoken(within)}" for within, event in sorted(spans.items()))
    return (
        f"{books}\n[dim]Bought: {goals} of the accepted message. Afterwards, not because of: only a holdout can tell. "
        "Delivered: where the provider reports it (SMTP does not).[/dim]"
    )


def _number(count: int) -> str:
    return f"{count:,}" if count else "·"


def _words(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in reasons.items())


def _did(deeds: Mapping[str, Deed]) -> str:
    """Like `customers who replied: 3, reacted: 2 (5 times)`."""
    times = {name: f" ({one.events:,} times)" if one.events > one.customers else "" for name, one in deeds.items()}
    return f"customers who {', '.join(f'{name}: {one.customers:,}{times[name]}' for name, one in deeds.items())}"


def _afterwards(afterwards: Afterwards | None) -> tuple[str, str]:
    if afterwards is None:
        return "–", "–"
    return _number(afterwards.events), f"{afterwards.revenue:,.2f}" if afterwards.revenue is not None else "–"

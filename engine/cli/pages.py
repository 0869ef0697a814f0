"""The pages that a person reads on the terminal: audience, plan, report."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from engine.measure.report import Afterwards, Line, Report
from engine.model import OPEN, State
from engine.questions.audience import Audience
from engine.questions.plan import Plan
from engine.scalars import spoken


def audience_page(screen: Console, found: Audience, *, sql: bool) -> None:
    share = f" ({found.count / found.customers:.1%})" if found.customers else ""
    screen.print(
        f"[bold]{escape(found.name)}[/bold]: {found.count:,} of {found.customers:,} customers{share}", highlight=False
    )
    if found.sample:
        screen.print(f"[dim]for example[/dim] {escape(', '.join(found.sample))}", highlight=False)
    if sql:
        screen.print(Syntax(found.sql, "sql", word_wrap=True, background_color="default"))


def plan_page(screen: Console, planned: Plan) -> None:
    table = Table(title=f"Plan as of {planned.as_of:%Y-%m-%d %H:%M} UTC", title_justify="left")
    for name, justify in (
        ("campaign", "left"),
        ("channel", "left"),
        ("class", "left"),
        ("next (UTC)", "left"),
        ("audience now", "right"),
        ("for example", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for one in planned.campaigns:
        when = (
            f"{one.next_at:%Y-%m-%d %H:%M}"
            if one.next_at
            else ("when triggered" if one.started_by == "trigger" else "never again")
        )
        size = (
            f"{one.audience:,}"
            if one.audience is not None
            else ("one customer" if one.started_by == "trigger" else "public")
        )
        table.add_row(one.campaign, one.channel, one.message_class, when, size, escape(", ".join(one.sample[:3])))
    screen.print(table)


def report_page(screen: Console, read: Report, *, currency: str) -> None:
    """The report: the funnel in one table, then what was held and withheld, in words."""
    table = Table(title=f"Report as of {read.as_of:%Y-%m-%d %H:%M} UTC", title_justify="left")
    for name in (
        "campaign",
        "channel",
        "runs",
        "owed",
        "sent",
        "delivered",
        "opened",
        "clicked",
        "withheld",
        "bounced",
        "opted out",
        "unknown",
        "open",
        "bought after",
        "revenue after",
    ):
        table.add_column(name, justify="left" if name in ("campaign", "channel") else "right")
    for line in read.lines:
        table.add_row(
            line.campaign, line.channel, *map(_number, _counts(line)), *_afterwards(line.afterwards, currency)
        )
    screen.print(table)
    for line in read.lines:
        reasons = {"withheld": line.withheld, "held for a while": line.held, "rejected": line.rejected}
        words = [f"{what}: {_words(counts)}" for what, counts in reasons.items() if counts]
        if words:
            screen.print(f"[bold]{line.campaign}[/bold] ({line.channel}) {'; '.join(words)}", highlight=False)
    wrong = [line.campaign for line in read.lines if not line.balanced]
    goals = {
        f"{line.afterwards.event} within {spoken(line.afterwards.within)}" for line in read.lines if line.afterwards
    }
    screen.print(
        (
            "[green]The books balance: every message that was owed is in exactly one state.[/green]"
            if not wrong
            else f"[red]The books do not balance: {', '.join(wrong)}.[/red]"
        )
        + (
            f"\n[dim]Bought after: {', '.join(sorted(goals))} of the accepted message. Afterwards, not because of: only a holdout can tell.[/dim]"
            if goals
            else ""
        ),
        highlight=False,
    )


def _counts(line: Line) -> tuple[int, ...]:
    withheld = sum(line.states.get(state, 0) for state in (State.SKIPPED, State.EXPIRED, State.CANCELLED, State.DEAD))
    waiting = sum(line.states.get(state, 0) for state in OPEN)
    return (
        line.runs,
        line.owed,
        line.sent,
        line.delivered,
        line.opened,
        line.clicked,
        withheld,
        line.bounced,
        line.opted_out,
        line.states.get(State.UNKNOWN, 0),
        waiting,
    )


def _number(count: int) -> str:
    return f"{count:,}" if count else "·"


def _words(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in reasons.items())


def _afterwards(afterwards: Afterwards | None, currency: str) -> tuple[str, str]:
    if afterwards is None:
        return "–", "–"
    return f"{afterwards.events:,}", f"{afterwards.revenue:,.2f} {currency}" if afterwards.revenue is not None else "–"

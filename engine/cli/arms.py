"""The report's part about arms: a table of them, and what the holdout shows in a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from engine.cli.widths import headed
from engine.measure.arms import Arm, Arms
from engine.measure.lift import Lift
from engine.measure.report import Line
from engine.scalars import percent


def arms_table(lines: Sequence[Line], currency: str, air: int) -> Table:
    """A row an arm; – for what a campaign has no goal for."""
    numbers = ("customers", "sent", "opened", "clicked", "bought", "share", f"for {currency}")
    campaigns = [line.campaign for line in lines]
    table = headed("Arms beside each other", campaigns, ("campaign", "arm"), numbers, air)
    for line in lines:
        for arm in (*line.arms.holdout, *line.arms.variants) if line.arms else ():
            table.add_row(line.campaign, arm.name, *_cells(arm))
    return table


def _cells(arm: Arm) -> Iterator[str]:
    yield f"{arm.customers:,}"
    yield from (f"{count:,}" if count else "·" for count in (arm.sent, arm.opened, arm.clicked))
    if arm.reached is None:
        yield from ("–", "–")
    else:
        yield f"{arm.reached:,}" if arm.reached else "·"
        yield f"{arm.reached / arm.customers:.1%}" if arm.customers else "–"
    yield f"{arm.revenue:,.2f}" if arm.revenue is not None else "–"


def told(arms: Arms) -> str:
    """What the holdout shows, in a sentence; empty where it shows nothing."""
    if arms.alarming and arms.share is not None:
        held, others = (arm.customers for arm in arms.holdout)
        return (
            f"[red]the holdout has {held:,} of {held + others:,} customers, and {percent(arms.share)} were to be drawn: "
            "something else than the lot has chosen, so it tells nothing.[/red]"
        )
    return _because(arms.lift) if arms.lift is not None else ""


def _because(lift: Lift) -> str:
    points = f"{lift.difference * 100:+.1f} points ({lift.low * 100:+.1f} to {lift.high * 100:+.1f}, 95 %)"
    if not lift.told:
        return f"beside the holdout {points}: no difference can be told yet."
    few = f"about {lift.more:+,.0f} customers ({lift.more_low:+,.0f} to {lift.more_high:+,.0f})"
    return f"beside the holdout {points}: {few} because of it."

"""`regulars plan`: what would happen if this were live. It only reads."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.cli.app import HERE, AsJson, Now, Where, moment, opened, screen, show_json
from engine.questions.plan import Plan
from engine.questions.plan import plan as ask_plan

Campaign = Annotated[str | None, typer.Argument(help="Only this campaign.")]


def register(app: typer.Typer) -> None:
    app.command()(plan)


def plan(campaign: Campaign = None, folder: Where = HERE, now: Now = None, as_json: AsJson = False) -> None:
    """What would happen if this were live: each campaign's audience now, a sample, and when it sends next."""
    with opened(folder) as (workspace, database):
        planned = ask_plan(workspace, database, campaign=campaign, now=moment(now))
    if as_json:
        show_json(planned)
    else:
        plan_page(screen, planned)


def plan_page(screen: Console, planned: Plan) -> None:
    screen.print(f"[italic]Plan as of {planned.as_of:%Y-%m-%d %H:%M} UTC[/italic]", highlight=False)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
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

"""`regulars launch CAMPAIGN --confirm`: let go what a guard holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape

from engine.campaigns.launch import LetGo, let_go
from engine.cli.app import HERE, AsJson, Where, opened, present, screen, show_json
from engine.cli.brake import whoever
from engine.ledger.canaries import CanaryRun, Stage, undecided
from engine.ledger.holds import Hold, holding

Campaign = Annotated[str | None, typer.Argument(help="The campaign.")]


def register(app: typer.Typer) -> None:
    app.command()(launch)


def launch(
    campaign: Campaign = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="You have looked, and it is right.")] = False,
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="Who says so (default: you).")] = "",
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """What the guards hold, and why. With --confirm it goes: to whoever is in the audience now.

    Exit status 1 where something is held and stays so.
    """
    with opened(folder) as (workspace, database):
        if campaign is not None and confirm:
            _confirmed(let_go(workspace, database, campaign, by=by or whoever(), now=present()), as_json=as_json)
            return
        with database.reading() as connection:
            held, stopped = holding(connection, campaign), undecided(connection, Stage.STOPPED, campaign=campaign)
    if as_json:
        show_json({"held": held, "stopped": stopped})
    else:
        _page(held, stopped)
    raise typer.Exit(1 if held or stopped else 0)


def _confirmed(done: LetGo, *, as_json: bool) -> None:
    if as_json:
        show_json(done)
        return
    if done.launched is not None:
        one = done.launched
        screen.print(f"{one.campaign} {one.occurrence}: owed {one.owed:,}", highlight=False)
    for run in done.runs:
        screen.print(f"The rest of run {run} follows.", highlight=False)


def _page(held: Sequence[Hold], stopped: Sequence[CanaryRun]) -> None:
    for hold in held:
        screen.print(f"[yellow]held[/yellow] {hold.campaign} {hold.occurrence}: {escape(hold.why)}", highlight=False)
    for canary in stopped:
        screen.print(f"[yellow]stopped[/yellow] {canary.campaign}: {escape(canary.why)}", highlight=False)
    if not held and not stopped:
        screen.print("Nothing is held.")

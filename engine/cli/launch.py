"""`regulars launch CAMPAIGN --confirm`: let a launch go that a guard holds."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from engine.campaigns.launch import launch_held
from engine.cli.app import HERE, AsJson, Where, moment, opened, screen, show_json
from engine.cli.brake import whoever
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
    """What the guards hold, and why; with --confirm it is launched now, to whoever is in the audience now.

    Exit status 1 where something is held and stays so.
    """
    with opened(folder) as (workspace, database):
        if campaign is not None and confirm:
            launched = launch_held(workspace, database, campaign, by=by or whoever(), now=moment(None))
            show_json(launched) if as_json else screen.print(
                f"{launched.campaign} {launched.occurrence}: owed {launched.owed:,}", highlight=False
            )
            return
        with database.reading() as connection:
            held = holding(connection, campaign)
    if as_json:
        show_json(held)
    else:
        _page(held)
    raise typer.Exit(1 if held else 0)


def _page(held: tuple[Hold, ...]) -> None:
    for one in held:
        screen.print(f"[yellow]held[/yellow] {one.campaign} {one.occurrence}: {escape(one.why)}", highlight=False)
    if not held:
        screen.print("Nothing is held.")

"""`regulars explain`: a segment, or a campaign's audience, as a plain English sentence."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from engine.cli.app import HERE, AsJson, Where, screen, show_json
from engine.document import suggestion
from engine.errors import UnknownName
from engine.rules.compile import audience_condition
from engine.rules.explain import again, sentence
from engine.rules.workspace import Workspace, load_workspace


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    name: Annotated[str | None, typer.Argument(metavar="[SEGMENT]", help="A segment or campaign; all segments where left out.")] = None,
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """What a segment says, as a plain sentence."""
    workspace = load_workspace(folder)
    told = {one: explained(workspace, one) for one in ([name] if name else workspace.segments)}
    if as_json:
        show_json(told)
        return
    for one, words in told.items():
        screen.print(f"[bold]{escape(one)}[/bold]  {escape(words)}", soft_wrap=True)


def explained(workspace: Workspace, name: str) -> str:
    """The sentence of a segment or of a campaign's audience. Raises UnknownName with the nearest one that exists."""
    if name in workspace.segments:
        return sentence(workspace.segments[name].who)
    campaign = workspace.campaigns.get(name)
    if campaign is None:
        known = [*workspace.segments, *workspace.campaigns]
        raise UnknownName(f'there is no segment or campaign "{name}"', remedy=suggestion(name, known))
    if campaign.is_public:
        return "Everybody: it is a public post."
    if campaign.audience is None:
        return "Whomever the call that starts it names."
    return f"{sentence(audience_condition(workspace, campaign))} {again(campaign.reentry)}"

"""The questions: `regulars audience`, `regulars report`. They only read. (`regulars plan` has a file of its own.)"""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.app import HERE, AsJson, Now, Where, moment, opened, opened_database, present, screen, show_json
from engine.cli.pages import audience_page, report_page, sizes_page
from engine.measure.report import report as read_report
from engine.questions.audience import Sizes, all_sizes
from engine.questions.audience import audience as ask_audience

Campaign = Annotated[str | None, typer.Argument(help="Only this campaign.")]


def register(app: typer.Typer) -> None:
    app.command()(audience)
    app.command()(report)


def audience(
    segment: Annotated[
        str | None, typer.Argument(help="A segment, or a campaign for its audience; without, all segments.")
    ] = None,
    folder: Where = HERE,
    now: Now = None,
    sql: Annotated[bool, typer.Option("--sql", help="Show the SQL too, and the database's query plan.")] = False,
    as_json: AsJson = False,
) -> None:
    """Who is in a segment: how many, a sample, the SQL, and the query plan; or how large every segment is."""
    with opened(folder) as (workspace, database):
        at = moment(now, workspace.settings.time_zone)
        found = (
            ask_audience(workspace, database, segment, now=at) if segment else all_sizes(workspace, database, now=at)
        )
    if as_json:
        show_json(found)
    elif isinstance(found, Sizes):
        sizes_page(screen, found)
    else:
        audience_page(screen, found, sql=sql)


def report(campaign: Campaign = None, folder: Where = HERE, as_json: AsJson = False) -> None:
    """What happened to every message so far, and what was bought afterwards."""
    with opened_database(folder) as (settings, database):
        read = read_report(database, campaign=campaign, now=present())
    if as_json:
        show_json(read)
    else:
        report_page(screen, read, currency=settings.currency, time_zone=settings.time_zone.key)

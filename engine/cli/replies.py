"""`regulars replies`: what people wrote that may be a no; listed, and settled by hand, on the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from engine.cli.app import HERE, AsJson, Where, opened_database, present, screen, show_json
from engine.cli.shop_clock import ShopClock
from engine.errors import RegularsError
from engine.ledger.replies import Reading, Reply, read, settle, unread
from engine.provider import safe_header

Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="What people wrote that may be a no: read it, and settle it by hand.")
    group.callback(invoke_without_command=True)(replies)
    group.command("settle")(settle_replies)
    group.command("settled")(settled)
    app.add_typer(group, name="replies")


def replies(context: typer.Context, limit: Limit = 50, folder: Where = HERE, as_json: AsJson = False) -> None:
    """Replies that wait for a person; until then the customer gets nothing commercial there. Exit status 1 where there are any."""
    if context.invoked_subcommand is not None:
        return
    with opened_database(folder) as (settings, database):
        waiting = unread(database, limit=limit)
    if as_json:
        show_json(waiting)
    elif waiting:
        _page(waiting, ShopClock(settings.time_zone.key))
    else:
        screen.print("[green]No reply waits to be read.[/green]")
    raise typer.Exit(1 if waiting else 0)


def settle_replies(
    reply: Annotated[list[int], typer.Argument(metavar="ID...", help="The replies' numbers.")],
    reading: Annotated[
        Reading, typer.Option("--as", help="A no to everything on this channel, or nothing of the kind.")
    ],
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="Who says so.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What makes it clear.")] = "",
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """Settle replies by hand. Each is put on record. Exit status 1 where one was refused."""
    if not by.strip():
        raise RegularsError("say who settles this (--by)")
    with opened_database(folder) as (_, database):
        done = settle(database, reply, reading, by=by.strip(), why=why.strip(), now=present())
    if as_json:
        show_json(done)
    for one in done if not as_json else ():
        told = f"[yellow]not settled[/yellow]: {one.refused}" if one.refused else reading.value.replace("_", " ")
        screen.print(f"{one.reply}: {told}", highlight=False)
    raise typer.Exit(1 if any(one.refused for one in done) else 0)


def settled(limit: Limit = 50, folder: Where = HERE, as_json: AsJson = False) -> None:
    """Who read which reply as what, when and why; the newest first."""
    with opened_database(folder) as (settings, database):
        record = read(database, limit=limit)
    if as_json:
        show_json(record)
    elif record:
        _page(record, ShopClock(settings.time_zone.key))


def _page(found: Sequence[Reply], at: ShopClock) -> None:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in ("reply", "written", "channel", "customer", "text", "settled"):
        table.add_column(name, overflow="fold")
    for one in found:
        words = f"{one.reading.value.replace('_', ' ')} by {one.by}: {one.why}" if one.reading else "–"
        table.add_row(
            str(one.id), at(one.at), one.channel.value, escape(one.customer or "–"),
            escape(safe_header(one.text[:500])), escape(words),
        )  # fmt: skip
    screen.print(table)

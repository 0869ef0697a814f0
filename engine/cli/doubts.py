"""`regulars doubts`: the messages whose end nobody knows; listed, exported, and settled by hand, on the record."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from engine.cli.app import HERE, AsJson, Where, notes, opened_database, plain, present, screen, show_json
from engine.cli.shop_clock import ShopClock
from engine.cli.widths import whole
from engine.errors import RegularsError
from engine.ledger.judge import Judged, Judgement, judge
from engine.ledger.judge import settled as read_settled
from engine.model import DeliveryClass, State
from engine.questions.doubts import Doubtful, Which, counted
from engine.questions.doubts import doubts as ask_doubts
from engine.store import Database


class Standing(StrEnum):
    IN_DOUBT = "in_doubt"
    UNKNOWN = "unknown"


Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many on the page.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The messages whose end nobody knows: list, export, settle by hand.")
    group.callback(invoke_without_command=True)(doubts)
    group.command("settle")(settle)
    group.command("settled")(settled)
    app.add_typer(group, name="doubts")


def doubts(
    context: typer.Context,
    campaign: Annotated[str | None, typer.Option("--campaign", help="Only of this campaign.")] = None,
    run: Annotated[int | None, typer.Option("--run", help="Only of this run, by its number.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Only by this provider of config.yaml.")] = None,
    state: Annotated[Standing | None, typer.Option("--state", help="Only these.")] = None,
    limit: Limit = 50,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write all of them into a .csv or .jsonl file.")
    ] = None,
    show_addresses: Annotated[bool, typer.Option("--show-addresses", help="With the addresses they went to.")] = False,
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """The messages in doubt or unknown: nobody knows whether they arrived. Exit status 1 where there are any."""
    if context.invoked_subcommand is not None:
        return
    states = (State(state.value),) if state else (State.IN_DOUBT, State.UNKNOWN)
    which = Which(states=states, campaign=campaign, run=run, provider=provider)
    with opened_database(folder) as (settings, database):
        total = sum(count.messages for count in counted(database, which))
        if export is not None:
            _export(export, ask_doubts(database, which, addresses=show_addresses))
            notes.print(f"{total:,} written into {escape(str(export))}.", highlight=False)
        elif as_json:
            show_json(ask_doubts(database, which, addresses=show_addresses))
        else:
            at = ShopClock(settings.time_zone.key)
            _page(database, dataclasses.replace(which, limit=limit), total, at, addresses=show_addresses)
    raise typer.Exit(1 if total else 0)


def settle(
    message: Annotated[list[int], typer.Argument(metavar="ID...", help="The messages' numbers.")],
    verdict: Annotated[Judgement, typer.Option("--as", help="What became of them; resend: hand over once more.")],
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="Who says so.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="How that is known.")],
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """Settle messages in doubt or unknown by hand. Each is put on record. Exit status 1 where one was refused.

    `resend` may double: it is the same message to the same address, marked as a possible duplicate.
    """
    if not by.strip() or not why.strip():
        raise RegularsError("say who settles this (--by) and how it is known (--why)")
    with opened_database(folder) as (_, database):
        judged = judge(database, message, verdict, by=by.strip(), why=why.strip(), now=present())
    if as_json:
        show_json(judged)
    for one in judged if not as_json else ():
        screen.print(_told(one), highlight=False)
    raise typer.Exit(1 if any(one.refused for one in judged) else 0)


def _told(one: Judged) -> str:
    if one.refused:
        return f"{one.message}: [yellow]not settled[/yellow]: {one.refused}"
    assert one.before is not None and one.after is not None
    return f"{one.message}: {one.before.value} → {one.after.value}".replace("_", " ")


def settled(limit: Limit = 50, folder: Where = HERE, as_json: AsJson = False) -> None:
    """Who settled what by hand, when and why; the newest first."""
    with opened_database(folder) as (settings, database):
        record = read_settled(database, limit=limit)
    if as_json:
        show_json(record)
    at = ShopClock(settings.time_zone.key)
    for one in record if not as_json else ():
        screen.print(
            f"{at(one.at)}  {one.message}: {one.before.value} → {one.after.value}  "
            f"[bold]{escape(one.by)}[/bold]: {escape(one.why)}",
            highlight=False,
        )


# ---------------------------------------------------------------- the page


def _page(database: Database, which: Which, total: int, at: ShopClock, *, addresses: bool) -> None:
    if not total:
        screen.print("[green]Nothing is in doubt, and nothing is unknown.[/green]")
        return
    found = tuple(ask_doubts(database, which, addresses=addresses))
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    unbroken = {"handed over", "campaign" if whole(one.campaign for one in found) else ""}
    for name in ("message", "state", "campaign", "customer", "provider", "handed over", "why", "looks"):
        table.add_column(name, overflow="fold", no_wrap=name in unbroken)
    for one in found:
        table.add_row(
            str(one.message), one.state.value.replace("_", " "), one.campaign, _whom(one), one.provider or "–",
            at(one.first_sent_at) if one.first_sent_at else "–", _reason(one),
            f"{one.looks}: {one.finding}" if one.finding else "–",
        )  # fmt: skip
    screen.print(table)
    for count in counted(database, which):
        screen.print(
            f"{count.campaign} by {count.provider or '–'}: {count.messages:,} {count.state.value.replace('_', ' ')}",
            highlight=False,
        )
    if which.limit is not None and total > which.limit:
        screen.print(f"[dim]The oldest {which.limit} of {total:,}; --limit, --json or --export shows more.[/dim]")


def _reason(one: Doubtful) -> str:
    asks = one.delivery is DeliveryClass.ASK and one.state is State.IN_DOUBT
    return "waits for you" if asks else (one.reason or "").replace("_", " ")


def _whom(one: Doubtful) -> str:
    whom = one.customer or "everybody"
    return escape(f"{whom} {one.address}" if one.address else whom)


# ---------------------------------------------------------------- files


def _export(path: Path, found: Iterable[Doubtful]) -> None:
    writers: Mapping[str, Callable[[IO[str], Iterable[Mapping[str, Any]]], None]] = {
        ".csv": _csv,
        ".jsonl": _json_lines,
    }
    write = writers.get(path.suffix.lower())
    if write is None:
        raise RegularsError("an export is a .csv or a .jsonl file", where=str(path))
    with path.open("w", encoding="utf-8", newline="") as file:
        write(file, (plain(one) for one in found))


_COLUMNS = tuple(field.name for field in dataclasses.fields(Doubtful))


def _csv(file: IO[str], rows: Iterable[Mapping[str, Any]]) -> None:
    writer = csv.DictWriter(file, _COLUMNS)
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    """A spreadsheet takes what begins like this for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _json_lines(file: IO[str], rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")

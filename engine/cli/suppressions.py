"""`regulars suppressions`: the addresses we must not write to, and why; listed, and lifted by hand, on the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from engine.addresses import normalise
from engine.cli.app import HERE, AsJson, Where, moment, opened_database, present, screen, show_json
from engine.cli.shop_clock import ShopClock
from engine.errors import RegularsError
from engine.ledger.lifting import Lifted, Suppression, Which, Yes, lift, suppressed
from engine.ledger.lifting import lifted as read_lifted
from engine.model import Channel, SuppressionReason
from engine.settings import Settings
from engine.store import Database

Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]
OnChannel = Annotated[Channel | None, typer.Option("--channel", help="Only on this channel.")]
ForReason = Annotated[SuppressionReason | None, typer.Option("--reason", help="Only for this reason.")]
OfCustomer = Annotated[str | None, typer.Option("--customer", metavar="ID", help="Only of this customer's addresses.")]
OfAddress = Annotated[str | None, typer.Option("--address", help="Only of this address, with --channel.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The addresses we must not write to, and why: list them, lift one by hand.")
    group.callback(invoke_without_command=True)(suppressions)
    group.command("lift")(lift_suppressions)
    group.command("lifted")(lifted)
    app.add_typer(group, name="suppressions")


def suppressions(
    context: typer.Context,
    customer: OfCustomer = None,
    address: OfAddress = None,
    channel: OnChannel = None,
    reason: ForReason = None,
    limit: Limit = 50,
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """The suppressions that stand, the newest first. The address itself is not kept: ask by --customer, or by --address."""
    if context.invoked_subcommand is not None:
        return
    with opened_database(folder) as (settings, database):
        found = suppressed(database, _which(database, customer, address, channel, reason), limit=limit)
    if as_json:
        show_json(found)
    elif found:
        _page(found, ShopClock(settings.time_zone.key))
    else:
        screen.print("No such address is suppressed.")


def lift_suppressions(
    suppression: Annotated[list[int], typer.Argument(metavar="ID...", help="The suppressions' numbers.")],
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="Who says so.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="How it is known that the address is good again.")],
    consent: Annotated[
        str | None, typer.Option("--consent", metavar="PURPOSE", help="What the person agreed to anew.")
    ] = None,
    proof: Annotated[
        str, typer.Option("--proof", metavar="TEXT", help="How they agreed, and where that is kept.")
    ] = "",
    agreed: Annotated[
        str | None, typer.Option("--agreed", metavar="TIME", help="When they agreed; without it, now.")
    ] = None,
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """Lift suppressions by hand. Each is put on record. Exit status 1 where one was refused.

    What the person asked for (STOP, an opt-out, a complaint) needs their new yes: --consent and --proof, or one that was
    imported since. It opens that purpose alone.
    """
    if not by.strip() or not why.strip():
        raise RegularsError("say who lifts this (--by) and how the address is known to be good again (--why)")
    now = present()
    with opened_database(folder) as (settings, database):
        at = moment(agreed, settings.time_zone, option="--agreed")
        yes = _yes(settings, consent, proof, at if agreed else now, now)
        done = lift(database, suppression, yes=yes, purposes=settings.purposes, by=by.strip(), why=why.strip(), now=now)
    if as_json:
        show_json(done)
    for one in done if not as_json else ():
        screen.print(_told(one), highlight=False)
    raise typer.Exit(1 if any(one.refused for one in done) else 0)


def lifted(
    customer: OfCustomer = None,
    address: OfAddress = None,
    channel: OnChannel = None,
    reason: ForReason = None,
    limit: Limit = 50,
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """Who lifted what, when and why; the newest first. A customer's own START is among them."""
    with opened_database(folder) as (settings, database):
        record = read_lifted(database, _which(database, customer, address, channel, reason), limit=limit)
    if as_json:
        show_json(record)
    elif record:
        _page(record, ShopClock(settings.time_zone.key))


def _which(
    database: Database,
    customer: str | None,
    address: str | None,
    channel: Channel | None,
    reason: SuppressionReason | None,
) -> Which:
    if address is None:
        return Which(channel=channel, reason=reason, customer=customer)
    if channel is None:
        raise RegularsError("say on which channel (--channel), as an address is one there", where="--address")
    try:
        hashed = database.address_hash(normalise(channel, address))
    except ValueError as error:
        raise RegularsError(str(error), where="--address") from error
    return Which(channel=channel, reason=reason, customer=customer, hashed=hashed)


def _yes(settings: Settings, purpose: str | None, proof: str, at: datetime, now: datetime) -> Yes | None:
    if purpose is None:
        if proof.strip():
            raise RegularsError("a proof is of a consent: say to what (--consent PURPOSE)", where="--proof")
        return None
    if purpose not in settings.purposes:
        known = ", ".join(settings.purposes)
        raise RegularsError(f'there is no purpose "{purpose}"', where="--consent", remedy=f"config.yaml has: {known}.")
    if not proof.strip():
        raise RegularsError("a consent needs its proof: how the person agreed (--proof TEXT)", where="--consent")
    if at > now:
        raise RegularsError("nobody agrees in the future", where="--agreed")
    return Yes(purpose=purpose, proof=proof.strip(), at=at)


def _told(one: Lifted) -> str:
    if one.refused:
        return f"{one.suppression}: [yellow]not lifted[/yellow]: {one.refused}"
    assert one.channel is not None and one.reason is not None
    whose = ", ".join(one.customers) or "nobody's now"
    told = [f"{one.suppression}: lifted: {_words(one.reason)}, {one.channel}, {escape(whose)}"]
    if one.opened:
        told.append(f"agreed anew: {', '.join(one.opened)}")
    if one.closed:
        told.append(f"put down as a no: {', '.join(one.closed)}")
    if one.remaining:
        told.append(f"[yellow]still suppressed: {', '.join(map(_words, one.remaining))}[/yellow]")
    return "; ".join(told)


def _words(reason: SuppressionReason) -> str:
    return reason.value.replace("_", " ")


def _page(found: Sequence[Suppression], at: ShopClock) -> None:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in ("id", "since", "channel", "reason", "told by", "customers", "lifted"):
        table.add_column(name, overflow="fold")
    for one in found:
        how = f"{at(one.lifted_at)} by {one.by}: {one.why}" if one.lifted_at else "–"
        table.add_row(
            str(one.id), at(one.at), one.channel.value, _words(one.reason), escape(one.source),
            escape(", ".join(one.customers) or "–"), escape(how),
        )  # fmt: skip
    screen.print(table)

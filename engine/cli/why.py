"""`regulars why CUSTOMER CAMPAIGN`: the whole decision about one customer, step by step, on one page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from engine.cli.app import HERE, AsJson, Now, Where, moment, opened, screen, show_json
from engine.cli.shop_clock import ShopClock
from engine.cli.tree import tree
from engine.model import Plain
from engine.questions.why import Gate, LookedUp, Reentry, Says, Told, Why
from engine.questions.why import why as ask_why

Addresses = Annotated[
    bool, typer.Option("--show-addresses", help="Show the customer's addresses and personal links, too.")
]


NEWEST = 5
"""Messages shown on the page."""


def register(app: typer.Typer) -> None:
    app.command()(why)


def why(
    customer: Annotated[str, typer.Argument(help="The customer's id, as in your import.")],
    campaign: Annotated[str, typer.Argument(help="A campaign's name.")],
    folder: Where = HERE,
    now: Now = None,
    show_addresses: Addresses = False,
    as_json: AsJson = False,
) -> None:
    """Why a customer gets a campaign, or does not, and when: the rule, each gate, every message and attempt."""
    with opened(folder) as (workspace, database):
        found = ask_why(
            workspace,
            database,
            customer,
            campaign,
            now=moment(now, workspace.settings.time_zone),
            addresses=show_addresses,
        )
    if as_json:
        show_json(found)
    else:
        why_page(screen, found)


def why_page(screen: Console, found: Why) -> None:
    """The answer first, then what it rests on. Fits 80 columns; times by the shop's clock."""
    at = ShopClock(found.time_zone)
    screen.print(
        f"[bold]Customer {escape(found.customer)}, campaign {escape(found.campaign)}[/bold] "
        f"[dim]({found.message_class} {found.channel}, as of {at(found.as_of)} {found.time_zone})[/dim]",
        highlight=False,
    )
    for line in found.answer:
        screen.print(escape(line), highlight=False)
    if found.audience is not None:
        _head(screen, "Audience")
        screen.print(tree(found.audience), highlight=False)
    if found.reentry is not None:
        _head(screen, "Re-entry")
        screen.print(escape(_reentry(found.reentry, at)), highlight=False)
    if found.variant:
        _head(screen, "Variant")
        screen.print(
            f"{escape(found.variant)}: drawn by lot, the same in every run with these variants", highlight=False
        )
    if found.gates:
        _head(screen, "Policy, for a message now")
        screen.print(_gates(found.gates, at))
    if found.started_by != "public":
        _head(screen, "Messages of this campaign so far")
        if len(found.messages) > NEWEST:
            screen.print(f"{len(found.messages) - NEWEST} earlier ones are left out; --json has them", style="dim")
        for message in found.messages[-NEWEST:]:
            _message(screen, message, at)
        if not found.messages:
            screen.print("none", highlight=False)


def _head(screen: Console, words: str) -> None:
    screen.print(f"\n[bold]{words}[/bold]")


def _reentry(kept: Reentry, at: ShopClock) -> str:
    mark = "✗" if kept.keeps_out else "✓"
    if kept.last_owed_at is None:
        return f"{mark} {kept.rule}: no message of this campaign yet"
    until = f", kept out until {at(kept.until)}" if kept.until else f", kept out {kept.lasts}" if kept.keeps_out else ""
    left = f", seen outside the audience {at(kept.left_at)}" if kept.left_at else ""
    return f"{mark} {kept.rule}: last owed {at(kept.last_owed_at)} ({kept.last_state}){left}{until}"


_MARKS = {Says.PASSES: "[green]✓[/green]", Says.HOLDS: "[yellow]…[/yellow]", Says.WITHHOLDS: "[red]✗[/red]"}


def _gates(gates: tuple[Gate, ...], at: ShopClock) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for gate in gates:
        until = f" until {at(gate.until)}" if gate.until else ""
        later = "" if gate.decides else " [dim](an earlier gate decides)[/dim]"
        remedy = f" ({escape(gate.remedy)})" if gate.remedy else ""
        objection = f"[bold]{gate.says}[/bold]{until}: {escape(gate.why)}{remedy}{later}\n"
        facts = f"[dim]{escape(gate.facts)}[/dim]"
        table.add_row(
            _MARKS[gate.says], gate.name.replace("_", " "), facts if gate.says is Says.PASSES else objection + facts
        )
    return table


def _message(screen: Console, message: Told, at: ShopClock) -> None:
    reason = f" ({message.reason}: {message.why})" if message.reason else ""
    screen.print(
        f"[bold]{message.id}[/bold] run {escape(message.occurrence)}: [bold]{message.state.replace('_', ' ')}[/bold]"
        f"{escape(reason)}",
        highlight=False,
    )
    lines = "\n".join(_details(message, at))
    screen.print(Padding(escape(lines), (0, 0, 0, 2)), highlight=False, style="dim")


def _details(message: Told, at: ShopClock) -> Iterator[str]:
    happened = {"owed": message.owed_at, **{name.removesuffix("_at"): when for name, when in message.times.items()}}
    yield ", ".join(f"{name.replace('_', ' ')} {at(when)}" for name, when in happened.items())
    if message.held_by:
        yield f"was held by: {message.held_by}"
    if message.detail:
        yield f"said: {message.detail}"
    if message.possible_duplicate:
        yield "may have been delivered twice: it was handed over again, marked, when no answer came"
    commit = f"rules at commit {_short(message.rules_commit)}, " if message.rules_commit else ""
    path = f" ({message.template_path})" if message.template_path else ""
    yield f"{commit}campaign {message.definition_hash[:12]}, template {message.template} {message.template_hash[:12]}{path}"
    if message.variant:
        yield f"variant {message.variant}"
    if message.sent_to:
        yield f"to {message.sent_to}"
    if message.values is not None:
        yield f"values {_values(message.values)}"
    for tried in message.attempts:
        said = " ".join(word for word in (tried.code, tried.detail) if word)
        yield f"attempt {tried.number} {at(tried.began_at)} {tried.provider}: {tried.outcome or 'no end known'} {said}".rstrip()
        if message.looked_up and message.looked_up.attempt == tried.number:
            yield _look(message.looked_up, at)
    for event in message.events:
        yield f"{event.name} {at(event.at)}"


def _short(commit: str) -> str:
    """`1a2b3c4d5e6f`, with the word on changes that is behind it."""
    name, comma, changes = commit.partition(",")
    return f"{name[:12]}{comma}{changes}"


_FOUND: Mapping[str, str] = {
    "accepted": "the vendor has it",
    "rejected": "the vendor refused it",
    "notfound": "the vendor does not have it",
    "ambiguous": "the vendor did not answer plainly",
}


def _look(found: LookedUp, at: ShopClock) -> str:
    often = f" (look {found.looks})" if found.looks > 1 else ""
    detail = f" ({found.detail})" if found.detail else ""
    return f"looked up {at(found.at)}: {_FOUND[found.finding]}{detail}{often}"


def _values(values: Mapping[str, Plain]) -> str:
    """What was the customer's own, and the call's: the rest is the same for everybody, and `--json` has all of it."""
    own = {}
    for part in ("customer", "data"):
        inner = values.get(part)
        own.update(inner if isinstance(inner, dict) else {})
    return ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in own.items())

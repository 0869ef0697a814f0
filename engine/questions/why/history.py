"""What the ledger holds of one campaign's messages to one customer: each with its attempts and what was reported of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from engine.model import Plain, State
from engine.questions.why.reasons import explained
from engine.store.tables import attempts, events, look_ups, messages, runs, template_versions

WITHHELD = "(address)"
"""Stands where an address would."""

SECRET_VALUES = ("links",)
"""Of a template's values: whoever holds an unsubscribe link can use it."""

_TIMES = (
    "first_sent_at", "accepted_at", "delivered_at", "bounced_at", "opened_at", "clicked_at", "complained_at",
    "opted_out_at", "replied_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One call to a provider. `outcome` is None while nobody knows; `code` and `detail` are the provider's own words."""

    number: int
    provider: str
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None
    code: str | None
    detail: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LookedUp:
    """What asking the vendor about a hand-over in doubt (`attempt`) showed the last time, of so many `looks`.

    finding: accepted, rejected, notfound, or ambiguous, where the vendor did not answer plainly.
    """

    attempt: int
    at: datetime
    finding: str
    detail: str | None
    looks: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """One event about a message: from the provider, or from our own links."""

    name: str
    at: datetime
    detail: Mapping[str, Plain]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One message as the ledger holds it. `why` says its reason in words; `held_by` is what last made it wait.

    times: what happened when, by the ledger's names, only what did. rules_commit: the git commit of the rules, where they
    are under git; definition_hash: of the campaign as launched. variant: which of the campaign's texts it was; empty where it
    has one, or was not written. values: what the template was given. sent_to: None unless
    addresses were asked for.
    """

    id: int
    run: int
    occurrence: str
    nominal_at: datetime
    state: State
    reason: str | None
    why: str
    held_by: str | None
    detail: str | None
    owed_at: datetime
    due_at: datetime
    not_after: datetime | None
    changed_at: datetime
    times: Mapping[str, datetime]
    rules_commit: str | None
    definition_hash: str
    template: str
    template_hash: str
    template_path: str | None
    variant: str
    values: Mapping[str, Plain] | None
    sent_to: str | None
    provider: str | None
    provider_message_id: str | None
    possible_duplicate: bool
    attempts: tuple[Tried, ...]
    looked_up: LookedUp | None
    events: tuple[Reported, ...]


def history(connection: Connection, campaign: str, customer_id: int, *, addresses: bool) -> tuple[Told, ...]:
    """Every message of a campaign to a customer, in all runs, the oldest first."""
    m = messages.c
    query = (
        select(
            messages, runs.c.occurrence, runs.c.nominal_at, runs.c.rules_commit, runs.c.definition_hash,
            runs.c.template_hash, template_versions.c.name.label("template"),
        )
        .join(runs, runs.c.id == m.run_id)
        .join(template_versions, template_versions.c.hash == runs.c.template_hash)
        .where(m.customer_id == customer_id, m.campaign == campaign)
        .order_by(m.owed_at, m.id)
    )  # fmt: skip
    rows = connection.execute(query).all()
    tried = _by_message(connection, attempts, attempts.c.number, [row.id for row in rows])
    reported = _by_message(connection, events, events.c.at, [row.id for row in rows])
    asked = _looked_up(connection, {row.id: None if addresses else row.sent_to for row in rows})
    return tuple(_told(row, tried[row.id], asked.get(row.id), reported[row.id], addresses) for row in rows)


def _looked_up(connection: Connection, messages: Mapping[int, str | None]) -> dict[int, LookedUp]:
    """By message, what looking up its last doubt showed; `messages` are the addresses that are not to be told."""
    u = look_ups.c
    query = select(look_ups).where(u.message_id.in_(messages), u.looked_at.is_not(None))
    return {
        row.message_id: LookedUp(
            attempt=row.attempt,
            at=row.looked_at,
            finding=row.finding,
            detail=without(row.detail, messages[row.message_id]),
            looks=row.looks,
        )
        for row in (connection.execute(query) if messages else ())
    }


def _by_message(connection: Connection, table: Any, order: Any, ids: Sequence[int]) -> defaultdict[int, list[Row[Any]]]:
    found: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    if ids:
        for row in connection.execute(select(table).where(table.c.message_id.in_(ids)).order_by(order, table.c.id)):
            found[row.message_id].append(row)
    return found


def _told(
    row: Row[Any], tried: Sequence[Row[Any]], asked: LookedUp | None, reported: Sequence[Row[Any]], addresses: bool
) -> Told:
    hidden = None if addresses else row.sent_to
    return Told(
        id=row.id,
        run=row.run_id,
        occurrence=row.occurrence,
        nominal_at=row.nominal_at,
        state=State(row.state),
        reason=row.reason,
        why=explained(row.reason),
        held_by=row.held_by,
        detail=without(row.detail, hidden),
        owed_at=row.owed_at,
        due_at=row.due_at,
        not_after=row.not_after,
        changed_at=row.changed_at,
        times={name: at for name in _TIMES if (at := getattr(row, name)) is not None},
        rules_commit=row.rules_commit,
        definition_hash=row.definition_hash,
        template=row.template,
        template_hash=row.template_hash,
        template_path=row.template_path,
        variant=str((row.values or {}).get("variant", "")),
        values=_values(row.values, addresses),
        sent_to=row.sent_to if addresses else None,
        provider=row.provider,
        provider_message_id=row.provider_message_id,
        possible_duplicate=row.possible_duplicate,
        attempts=tuple(_tried(one, hidden) for one in tried),
        looked_up=asked,
        events=tuple(
            Reported(name=one.name, at=one.at, detail=_hidden(one.properties, hidden, addresses)) for one in reported
        ),
    )


def _tried(row: Row[Any], hidden: str | None) -> Tried:
    return Tried(
        number=row.number,
        provider=row.provider,
        began_at=row.began_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        code=row.code,
        detail=without(row.detail, hidden),
    )


def _values(values: Mapping[str, Plain] | None, addresses: bool) -> Mapping[str, Plain] | None:
    if values is None or addresses:
        return values
    return {name: value for name, value in values.items() if name not in SECRET_VALUES}


def _hidden(properties: Mapping[str, Plain], hidden: str | None, addresses: bool) -> dict[str, Plain]:
    """What was reported, with addresses taken out: ours wherever it stands in a text."""
    if addresses:
        return dict(properties)
    return {name: without(value, hidden) if isinstance(value, str) else value for name, value in properties.items()}


def without(words: str | None, address: str | None) -> str | None:
    """Words without the address that they may name: a vendor's often do."""
    return re.sub(re.escape(address), WITHHELD, words, flags=re.IGNORECASE) if words and address else words

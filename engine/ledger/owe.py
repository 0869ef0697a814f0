"""A run and what it owes: one transaction, unique on the intent, so launching twice is harmless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, literal, select, true, update

from engine.ledger import canaries
from engine.ledger.numbers import first_number
from engine.model import LANE_RANK, PUBLISHER, Channel, DeliveryClass, Lane, MessageClass, Plain, State
from engine.store import Database
from engine.store.expressions import chosen_first
from engine.store.tables import messages, runs, template_versions


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRun:
    """One launch of a campaign: which occurrence, and everything its messages need later, frozen.

    nominal_at: the schedule's own instant, or the moment of the trigger. definition: the campaign as launched.
    rules_commit: the workspace's git commit where it is under git, with a word on what was not committed. template_sources: path under templates/ → text.
    """

    campaign: str
    occurrence: str
    nominal_at: datetime
    definition: Mapping[str, Plain]
    definition_hash: str
    rules_commit: str | None
    template_name: str
    template_hash: str
    template_sources: Mapping[str, str]
    channel: Channel
    data: Mapping[str, Plain]


@dataclass(frozen=True, kw_only=True, slots=True)
class OwedTo:
    """Who is owed a message by a run, how, and until when. `audience` selects customers' ids; None is a public post.

    canary: the share of the run that leaves ahead of the rest; None where it leaves as one. publishers: of a public post,
    the providers that publish it, one message each; where there are none, whoever carries the channel.
    """

    audience: Select[tuple[int]] | None
    step: str
    channel: Channel
    message_class: MessageClass
    delivery: DeliveryClass
    lane: Lane
    not_after: datetime | None
    canary: Decimal | None = None
    publishers: Sequence[str] = ()


def open_run(connection: Connection, database: Database, run: NewRun, *, now: datetime) -> tuple[int, bool]:
    """The run's id, and whether it is new. The same occurrence of a campaign is the same run, however often it is opened."""
    version = {
        "hash": run.template_hash,
        "name": run.template_name,
        "sources": dict(run.template_sources),
        "first_used_at": now,
    }
    connection.execute(database.insert(template_versions).values(version).on_conflict_do_nothing())
    row = {
        "campaign": run.campaign,
        "occurrence": run.occurrence,
        "nominal_at": run.nominal_at,
        "launched_at": now,
        "definition": dict(run.definition),
        "definition_hash": run.definition_hash,
        "rules_commit": run.rules_commit,
        "template_hash": run.template_hash,
        "channel": run.channel.value,
        "data": dict(run.data),
    }
    made = connection.execute(database.insert(runs).values(row).on_conflict_do_nothing().returning(runs.c.id)).scalar()
    if made is not None:
        return int(made), True
    same = select(runs.c.id).where(runs.c.campaign == run.campaign, runs.c.occurrence == run.occurrence)
    return int(connection.execute(same).scalar_one()), False


def owe(connection: Connection, database: Database, run_id: int, campaign: str, to: OwedTo, *, now: datetime) -> int:
    """Write down every message the run owes, as pending. Returns how many were new."""
    row = {
        "run_id": run_id,
        "campaign": campaign,
        "step": to.step,
        "channel": to.channel.value,
        "message_class": to.message_class.value,
        "delivery": to.delivery.value,
        "lane": LANE_RANK[to.lane],
        "state": State.PENDING.value,
        "owed_at": now,
        "due_at": now,
        "changed_at": now,
        "not_after": to.not_after,
    }
    owed = database.inserted(connection, _owing(database, to, row, first_number(connection)))
    connection.execute(update(runs).where(runs.c.id == run_id).values(owed=runs.c.owed + owed))
    return owed


def _owing(database: Database, to: OwedTo, row: Mapping[str, Any], first: int | None) -> Any:
    """The INSERT: one row for a public post, or for each who publishes it, an INSERT … SELECT for an audience. Numbered from
    `first`, where that is said.
    """
    if to.audience is None:
        steps = [f"{to.step}{PUBLISHER}{name}" for name in to.publishers] or [to.step]
        numbers: list[dict[str, Any]] = [{"id": first + place} if first else {} for place, _ in enumerate(steps)]
        return insert(messages).values(
            [{**row, **number, "step": step} for step, number in zip(steps, numbers, strict=True)]
        )
    ids = chosen_first(to.audience, dialect=database.dialect)
    columns: dict[str, ColumnElement[Any]] = {
        name: literal(value, messages.c[name].type) for name, value in row.items()
    }
    if to.canary is not None:
        columns |= canaries.due(ids.selected_columns[0], row["run_id"], to.canary, row["due_at"])
    if first:
        columns["id"] = literal(first - 1) + func.row_number().over()
    chosen = ids.add_columns(*(column.label(name) for name, column in columns.items()))
    return (
        database.insert(messages).from_select(["customer_id", *columns], chosen.where(true())).on_conflict_do_nothing()
    )

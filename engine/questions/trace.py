"""A condition held against one customer, part by part: each part's verdict, and the value that it looked at.

Each verdict is the same SQL that a campaign's audience is chosen by, asked about one row of `customers`; each value is read
through the same measures. There is no second reading of the rules that could differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, select

from engine.errors import UnknownName
from engine.model import AttributeType
from engine.questions.shown import shown
from engine.rules.compile import looked_at, matches
from engine.rules.explain import clause
from engine.rules.measures import MEASURES
from engine.rules.syntax import (
    NOWHERE,
    All,
    AnyOf,
    Attribute,
    Condition,
    Did,
    Got,
    InSegment,
    Lot,
    Measured,
    Not,
    Rfm,
    Window,
    parts,
)
from engine.rules.workspace import Workspace
from engine.store import Database
from engine.store.tables import customers

AT_ONCE = 40
"""Parts asked about in one statement: a table's row has a limit of columns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One part of a condition. `sentence` says it in words, `verdict` whether it holds for the customer.

    `value` is what it looked at, in words ("3, the last on 1998-03-02 (118 days ago)"); empty where it looks at its parts.
    at: where it stands in the rules, as file:line; for a segment, where that is written. Empty for groups.
    """

    sentence: str
    verdict: bool
    value: str
    children: tuple[Node, ...] = ()
    at: str = ""


def trace(
    workspace: Workspace, store: Database | Connection, condition: Condition, customer_id: int, *, now: datetime
) -> Node:
    """Hold a condition against the customer with this id (customers.id). Raises UnknownName where there is no such row."""
    asked = _asked(workspace, condition)
    with nullcontext(store) if isinstance(store, Connection) else store.reading() as connection:
        columns = dict(_columns(workspace, asked, connection.dialect.name, now))
        answers = _answers(connection, columns, customer_id)
    return _node(workspace, asked, answers, now)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A part of the condition, with its place in the tree: the root is "0", its second part "0.1"."""

    path: str
    condition: Condition
    inner: tuple[_Asked, ...]


def _asked(workspace: Workspace, condition: Condition, path: str = "0") -> _Asked:
    inner: tuple[Condition, ...]
    match condition:
        case InSegment(segment=name) if name in workspace.segments:
            inner = (workspace.segments[name].who,)
        case Not(of=AnyOf(of=none)):
            inner = none
        case _:
            inner = parts(condition)
    return _Asked(
        path=path,
        condition=condition,
        inner=tuple(_asked(workspace, part, f"{path}.{index}") for index, part in enumerate(inner)),
    )


def _columns(
    workspace: Workspace, asked: _Asked, dialect: str, now: datetime
) -> Iterator[tuple[str, ColumnElement[Any]]]:
    holds = matches(workspace, asked.condition, now=now, dialect=dialect)
    yield f"{asked.path} verdict", case((holds, 1), else_=0)
    for name, condition in _looks(asked.condition).items():
        value = looked_at(workspace, condition, now=now, dialect=dialect)
        if value is not None:
            yield f"{asked.path} {name}", value
    for part in asked.inner:
        yield from _columns(workspace, part, dialect, now)


def _looks(condition: Condition) -> Mapping[str, Condition]:
    """What is looked at for one part: its own value; for events also how many count, the newest of them, and of all."""
    if not isinstance(condition, Did | Got):
        return {"value": condition}
    last = Measured(measure="last", of=None, tests=())
    ever: Condition = (
        Did(event=condition.event, measured=last)
        if isinstance(condition, Did)
        else replace(condition, window=Window(), measured=last)
    )
    return {
        "value": condition,
        "times": replace(condition, measured=None),
        "last": replace(condition, measured=last),
        "ever": ever,
    }


def _answers(connection: Connection, columns: Mapping[str, ColumnElement[Any]], customer_id: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    named = [column.label(name) for name, column in columns.items()]
    for start in range(0, len(named), AT_ONCE):
        query = select(*named[start : start + AT_ONCE]).select_from(customers).where(customers.c.id == customer_id)
        row = connection.execute(query).mappings().first()
        if row is None:
            raise UnknownName(f"there is no customer with the id {customer_id}")
        found |= row
    return found


def _node(workspace: Workspace, asked: _Asked, answers: Mapping[str, Any], now: datetime) -> Node:
    seen = {
        name: answers[key] for name in ("value", "times", "last", "ever") if (key := f"{asked.path} {name}") in answers
    }
    return Node(
        sentence=_said(asked.condition),
        verdict=bool(answers[f"{asked.path} verdict"]),
        value=_value(workspace, asked.condition, seen, now),
        children=tuple(_node(workspace, part, answers, now) for part in asked.inner),
        at=_place(workspace, asked.condition),
    )


def _place(workspace: Workspace, condition: Condition) -> str:
    named = workspace.segments.get(condition.segment) if isinstance(condition, InSegment) else condition
    at = getattr(named, "at", NOWHERE)
    return f"{at.file}:{at.line}" if at.file else ""


_GROUPS: Mapping[type, str] = {All: "all of these", AnyOf: "at least one of these", Not: "not"}


def _said(condition: Condition) -> str:
    """A group by its word alone, because its parts stand below it; everything else as `explain` says it."""
    match condition:
        case InSegment():
            return f'in the segment "{condition.segment}"'
        case Not(of=AnyOf()):
            return "none of these"
        case _:
            said = _GROUPS.get(type(condition)) or clause(condition)
            return said.removeprefix("of whom ").removeprefix("who ").removeprefix("whose ")


def _value(workspace: Workspace, condition: Condition, seen: Mapping[str, Any], now: datetime) -> str:
    words = partial(shown, now=now, zone=workspace.settings.time_zone)
    match condition:
        case Attribute():
            return words(seen["value"], kind=condition.type)
        case Did() | Got():
            return _events(condition.measured, seen, words)
        case Lot():
            return words(seen["value"], kind=AttributeType.NUMBER)
        case Rfm():
            return words(seen["value"], kind=AttributeType.TEXT)
        case _:
            return ""


def _events(measured: Measured | None, seen: Mapping[str, Any], words: Callable[..., str]) -> str:
    """What is measured, then how many events or messages count, and when the newest of them was; of none, when the newest was at all."""
    newest = words(seen["last"], kind=AttributeType.TIME)
    if not seen["times"]:
        ever = f"; the last of all on {words(seen['ever'], kind=AttributeType.TIME)}" if seen["ever"] else ""
        return f"none{ever}"
    counted = words(seen["times"], kind=AttributeType.NUMBER)
    match measured:
        case None | Measured(measure="times"):
            return f"{counted}, the last on {newest}"
        case Measured(measure=measure):
            kind = MEASURES[measure].type
            amount = words(seen["value"], kind=kind)
            if kind is AttributeType.TIME:
                return f"{amount}, of {counted}"
            return f"{amount} over {counted}, the last on {newest}"

"""The syntax tree of a condition: what a rule says, read and checked, before it becomes SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from engine.errors import Position
from engine.model import AttributeType, Channel

NOWHERE = Position(file="")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ago:
    """`90 days ago`: counted back from the `now` of each evaluation. For a date, whole days back from today.

    `in 30 days` is a span of less than nothing.
    """

    span: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class At:
    """An instant that a rule writes down, in UTC. `told`: by the workspace's clock, as a rule may write it; the day alone where it
    is a day that is written, or its midnight.

    ends: it is the last instant of that day, finer than any other.
    """

    instant: datetime
    told: str = field(compare=False)
    ends: bool = False


Moment = At | Ago
Value = str | Decimal | bool | date | timedelta | Moment
"""One value of a rule. A timedelta is how far ahead an anniversary lies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Test:
    """`{operator: values}`. One value, two (`between`) or many (`in`), as the operator takes."""

    operator: str
    values: tuple[Value, ...]
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class All:
    """Every one holds. All of nothing holds."""

    of: tuple[Condition, ...]
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnyOf:
    """At least one holds."""

    of: tuple[Condition, ...]
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Not:
    """It does not hold, or cannot be told because something is missing."""

    of: Condition
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class InSegment:
    """The customer is in another segment at this moment."""

    segment: str
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """A customer's attribute passes every test. A missing one passes none but `present: false`."""

    name: str
    type: AttributeType
    tests: tuple[Test, ...]
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """A property of an event passes every test."""

    name: str
    type: AttributeType
    tests: tuple[Test, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What is measured over the events that count, and the tests it must pass. `of` is the property measured, and `type` its type.

    `best`: among so many percent of those who have such events, ranked by the measure, the highest first.
    """

    measure: str
    of: str | None
    tests: tuple[Test, ...]
    type: AttributeType | None = None
    best: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Since:
    """Later than the customer's first or last event of another name. Where there is none, nothing counts."""

    edge: str
    event: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Which events count by their time: at most `within` old, from `since` on, before `before`, between two included instants."""

    within: timedelta | None = None
    since: Moment | Since | None = None
    before: Moment | None = None
    between: tuple[Moment, Moment] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Then:
    """What must have followed an event for it to count; or with `happened` false must not have, and the time for it is over.

    `same`: properties in which both events agree.
    """

    event: str
    happened: bool
    within: timedelta | None = None
    where: tuple[Property, ...] = ()
    same: tuple[tuple[str, AttributeType], ...] = ()
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Did:
    """The customer's events of one name, at most `within` old and passing `where`, satisfy the measure; without one, exist.

    places: where each of its parts stands in the file.
    """

    event: str
    within: timedelta | None = None
    where: tuple[Property, ...] = ()
    measured: Measured | None = None
    since: Moment | Since | None = None
    before: Moment | None = None
    between: tuple[Moment, Moment] | None = None
    then: tuple[Then, ...] = ()
    at: Position = field(default=NOWHERE, compare=False, repr=False)
    places: Mapping[str, Position] = field(default_factory=dict, compare=False, repr=False)

    @property
    def window(self) -> Window:
        return Window(within=self.within, since=self.since, before=self.before, between=self.between)


@dataclass(frozen=True, kw_only=True, slots=True)
class Got:
    """The customer's messages that came as far as `word` says (`was_sent`, `opened`…) satisfy the measure; without one, exist.

    campaign, channel: None for any.
    """

    word: str
    campaign: str | None
    channel: Channel | None = None
    window: Window = Window()
    measured: Measured | None = None
    at: Position = field(default=NOWHERE, compare=False, repr=False)
    places: Mapping[str, Position] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Consented:
    """A yes (`agreed`) or a no to a purpose is in force, on one channel or on any."""

    purpose: str
    agreed: bool
    channel: Channel | None = None
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reachable:
    """There is a contact point on the channel, and it is not suppressed."""

    channel: Channel
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class OnList:
    """The customer's id stands in a file of rules/lists/."""

    list: str
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lot:
    """The number from 0 to 99.99 that a customer drew once and for all for `of` passes every test."""

    of: str
    tests: tuple[Test, ...]
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One score of RFM (recency, frequency, monetary, score) and its tests."""

    score: str
    tests: tuple[Test, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rfm:
    """Recency, frequency and monetary value, scored 1 to 5 among all who have such events, pass every test."""

    event: str
    money: str | None
    within: timedelta | None = None
    scores: tuple[Scored, ...] = ()
    bands: tuple[str, ...] = ()
    at: Position = field(default=NOWHERE, compare=False, repr=False)


Leaf = InSegment | Attribute | Did | Got | Consented | Reachable | OnList | Lot | Rfm
Condition = All | AnyOf | Not | Leaf


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A named condition."""

    name: str
    description: str
    who: Condition
    at: Position = field(default=NOWHERE, compare=False, repr=False)


def parts(condition: Condition) -> tuple[Condition, ...]:
    """The conditions directly inside a condition."""
    match condition:
        case All() | AnyOf():
            return condition.of
        case Not():
            return (condition.of,)
        case _:
            return ()


def members(condition: Condition) -> tuple[InSegment, ...]:
    """Every mention of another segment, at any depth, in the order of the file."""
    if isinstance(condition, InSegment):
        return (condition,)
    return tuple(member for part in parts(condition) for member in members(part))

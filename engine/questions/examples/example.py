"""A test of the rules, as read: invented customers, what they did, a moment, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engine.errors import Position
from engine.model import Channel, EventName, Plain, Reason, SuppressionReason


class Fate(StrEnum):
    """What becomes of a campaign and a customer at the test's moment."""

    SENT = "sent"
    HELD = "held"
    WITHHELD = "withheld"


@dataclass(frozen=True, kw_only=True, slots=True)
class InventedCustomer:
    """`row` is what an import would bring, all but the proof of the consents."""

    name: str
    at: Position
    row: Mapping[str, Plain]
    suppressed: Mapping[Channel, SuppressionReason]


@dataclass(frozen=True, kw_only=True, slots=True)
class InventedEvent:
    """`row` is what an import would bring, all but the event's id."""

    at: Position
    row: Mapping[str, Plain]


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierMessage:
    """A message that a customer was sent before the test's moment, and what was reported of it. Times are UTC.

    left_at: when a start of the campaign saw the customer outside its audience, for `reentry: on_rematch`.
    """

    at: Position
    customer: str
    campaign: str
    sent_at: datetime
    reported: Mapping[EventName, datetime]
    left_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A triggered campaign, asked for at the test's moment."""

    at: Position
    campaign: str
    customer: str
    data: Mapping[str, Plain]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedMembers:
    """Who must be in a segment (`includes`) and who must not (`excludes`). `whole`: nobody but those included may be."""

    segment: str
    at: Position
    includes: Mapping[str, Position]
    excludes: Mapping[str, Position]
    whole: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedFate:
    """What must become of one customer. `reason` None: whatever the reason is."""

    fate: Fate
    at: Position
    reason: Reason | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedMessages:
    """What must come of a campaign; customers without an entry in `fates` must be owed nothing. `public`: a post goes out."""

    campaign: str
    at: Position
    fates: Mapping[str, ExpectedFate]
    public: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One file of rules/tests/. `now` is the moment of everything that is expected (UTC)."""

    name: str
    file: str
    at: Position
    now: datetime
    customers: tuple[InventedCustomer, ...]
    events: tuple[InventedEvent, ...]
    messages: tuple[EarlierMessage, ...]
    triggers: tuple[Call, ...]
    segments: tuple[ExpectedMembers, ...]
    campaigns: tuple[ExpectedMessages, ...]

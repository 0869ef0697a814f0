"""The way back: what vendors report, called in or fetched, in one vocabulary."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from engine.errors import NoPlainAnswer, ProviderError
from engine.model import Channel, EventName, Plain, SuppressionReason
from engine.provider.texts import identity


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """A request that came in from a vendor. `url` is the public URL it called, query included; header names in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderEvent:
    """One thing a vendor reports. `dedupe` is the same text whenever the vendor repeats the same report.

    `message_key` is our key where the vendor echoes it; else `provider_message_id`, else `address` finds the message.
    `machine` marks an open or click made by a proxy or scanner. `text` is an inbound message's text, or only a `part` of it, where
    a vendor tells a long one piece by piece. `invitation`: what
    somebody brought who opted in by the link of one of our messages (`links.invitation`). channel: the address's, where it
    is not the provider's own. origin: the IP address that an open or click came from; it belongs here and never in `detail`,
    as it is stored only where the workspace knows scanners by theirs. An id, a key or an address that is a number becomes
    text; making an event of what cannot be kept (no `dedupe`, an `at` without a time zone) raises ProviderError, which
    names the field.
    """

    name: EventName
    at: datetime
    dedupe: str
    message_key: str | None = None
    provider_message_id: str | None = None
    address: str | None = None
    machine: bool = False
    suppress: SuppressionReason | None = None
    text: str = ""
    part: bool = False
    answered: bool = False
    invitation: str = ""
    channel: Channel | None = None
    origin: str = ""
    detail: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("dedupe", "message_key", "provider_message_id", "address"):
            value = getattr(self, name)
            if (text := identity(value)) is None and (name == "dedupe" or value not in (None, "")):
                raise _broken_event(name, value, "a text")
            object.__setattr__(self, name, text)
        for name, kind, none in _KINDS:
            value = getattr(self, name)
            if not isinstance(value, kind) and not (none and value is None):
                raise _broken_event(name, value, f"{kind.__name__}{' or None' if none else ''}")
        if self.at.tzinfo is None:
            raise _broken_event("at", self.at, "a time with its zone (UTC)")


_KINDS: tuple[tuple[str, type, bool], ...] = (
    ("name", EventName, False),
    ("at", datetime, False),
    ("suppress", SuppressionReason, True),
    ("text", str, False),
    ("part", bool, False),
    ("channel", Channel, True),
    ("origin", str, False),
    ("detail", Mapping, False),
)


def _broken_event(name: str, value: object, wanted: str) -> ProviderError:
    """Of the value only its kind is told: it may be a customer's."""
    got = "empty" if value == "" else "a time without one" if name == "at" and isinstance(value, datetime) else None
    what = f"an event's `{name}` must be {wanted}, and is {got or type(value).__name__}"
    return ProviderError(what, remedy="Mend the provider: see ProviderEvent in engine/provider/reports.py.")


KeyOf = Callable[[str], str | None]
"""The message key that a sealed one proves; None for any other text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """One mail of an inbox: what it reports; or why it is put aside; or neither, where it says nothing that matters."""

    events: Sequence[ProviderEvent] = ()
    problem: str = ""


class Inbox(ABC):
    """Where reports wait because their senders cannot call: a mailbox for bounces and complaints, or a vendor's own list.

    name: for people, the same at every start; no secret. aside: how many mails lay aside at the end of the last `fetch`.
    """

    name: str
    aside: int = 0

    @abstractmethod
    def fetch(self, key_of: KeyOf, *, now: datetime) -> Iterator[Fetched]:
        """The mails that came in, the oldest first. When the next is asked for, the one before is on disk, and is moved
        away: a crash in between gives it again, with events of the same `dedupe`.

        Raises ProviderError or SecretMissing where the inbox cannot be read; a mail that cannot be read is `Fetched`.
        """


FIRST_LOOK, LOOK_AGAIN = timedelta(days=2), timedelta(minutes=10)
PATIENCE_SECONDS = 30.0
EVENTS_AT_ONCE = 100


class Polled(Inbox):
    """What a vendor tells only when it is asked: its list of what people did, the newest first.

    ask: that list as events since a time (UTC), for vendors who can be asked so; who cannot tells more, and is read on, page by
    page, as long as more of it is wanted; until a `time.monotonic()` instant. May raise SecretMissing and NoPlainAnswer. It must
    not end before the list does: where time runs out it raises; what it told until then is taken, and the next look goes as far back
    as this one. The first look goes back two days; every other to ten minutes before the newest that is known, as a vendor may list
    something late. What is told again is known by its `dedupe`. every: how long a vendor is left in peace that counts or charges for
    questions; a look before that tells what the last one did.
    """

    def __init__(
        self, name: str, ask: Callable[[datetime, float], Iterator[ProviderEvent]], *, every: timedelta = timedelta()
    ) -> None:
        self.name, self._ask, self._every = name, ask, every
        self._asked_at: datetime | None = None
        self._problem = ""
        self._newest: datetime | None = None
        self._known = frozenset[str]()

    def fetch(self, key_of: KeyOf, *, now: datetime) -> Iterator[Fetched]:
        if self._asked_at is not None and self._asked_at <= now < self._asked_at + self._every:
            if self._problem:
                raise _unread(self._problem)
            return
        told, problem = self._told(self._newest - LOOK_AGAIN if self._newest else now - FIRST_LOOK)
        self._asked_at, self._problem = now, problem  # not where a secret is missing: then nobody was asked
        new = [event for event in reversed(told) if event.dedupe not in self._known]
        for start in range(0, len(new), EVENTS_AT_ONCE):
            yield Fetched(events=new[start : start + EVENTS_AT_ONCE])
        if problem:
            raise _unread(problem)
        if told:
            self._newest, self._known = max(event.at for event in told), frozenset(event.dedupe for event in told)

    def _told(self, since: datetime) -> tuple[list[ProviderEvent], str]:
        """What is listed since then, and why not all of it was told; empty where it was."""
        told = list[ProviderEvent]()
        try:
            for event in takewhile(
                lambda event: event.at >= since, self._ask(since, time.monotonic() + PATIENCE_SECONDS)
            ):
                told.append(event)
        except NoPlainAnswer as error:
            return told, error.what
        return told, ""


def _unread(why: str) -> ProviderError:
    return ProviderError(f"the list cannot be read ({why})", remedy="Look at the token's rights.")

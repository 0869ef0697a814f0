"""What a provider is: the whole reading list of somebody who adds one.

A provider does three things: it builds the vendor's request, reads the vendor's answer, and reads the vendor's
webhooks. It never retries, never stores, never decides whether to send. Whatever happens, `send` *returns* one of four
outcomes; the difference between `NotSent` and `Ambiguous` is the difference between a retry and a doubled message, so
everything that is not surely "not sent" is `Ambiguous`.

A vendor that takes many messages in one request, or many connections at once, does better than one call a message:
`send_many`. A vendor that can be asked what it has tells what became of a message whose answer was lost: `look_up`.

To add one: subclass `Provider`, name it in the entry points `regulars.providers`, and let it pass `engine.testing.contract`.
"""

from __future__ import annotations

import json
import os
import re
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache, partial
from itertools import takewhile
from queue import Empty, SimpleQueue
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from engine.errors import ForgedWebhook, NoPlainAnswer, ProviderError, SecretMissing
from engine.images import GIF, JPEG, PNG, WEBP, ImageLimits, Picture, picture
from engine.model import Channel, EventName, MessageClass, Plain, SuppressionReason
from engine.outside import NotPublic
from engine.rate import Rate, RateText
from engine.wire import Answer, Broken, DeadlineReader, Wire, time_left

# ---------------------------------------------------------------- settings and secrets


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to an environment variable, written `${env:NAME}`; the value is read when it is needed and never shown."""

    variable: str

    def reveal(self) -> str:
        """The secret's value. Raises SecretMissing, naming the variable, where it is not set or empty."""
        value = os.environ.get(self.variable, "")
        if not value:
            raise SecretMissing(self.variable)
        return value


_REFERENCE = re.compile(r"^\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}$")


def _reference(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    match = _REFERENCE.match(str(value))
    if match is None:
        raise ValueError("a secret is not written into a file: put ${env:NAME} here and the value into the environment")
    return Secret(match.group(1))


def _text_or_reference(value: object) -> object:
    return _reference(value) if _REFERENCE.match(str(value)) else value


SecretRef = Annotated[Secret, BeforeValidator(_reference)]
TextOrSecret = Annotated[Secret | str, BeforeValidator(_text_or_reference)]
"""An account's name or a public key: no secret, but some keep it in the environment. Read it with `reveal`."""


def reveal(value: Secret | str) -> str:
    """The text of a setting, wherever it is kept. Raises SecretMissing."""
    return value.reveal() if isinstance(value, Secret) else value


class ProviderSettings(BaseModel):
    """Base of each provider's settings. Unknown keys are refused; secrets are `SecretRef`.

    connections: how many messages may be on their way to the vendor at once, and so how many a crash can leave in doubt.
    rate: how many messages the vendor takes within a time, from all senders together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    connections: int = Field(default=8, ge=1, le=200)
    rate: RateText | None = None

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret these settings refer to, in lists and inner blocks too, for `check` to report the missing ones."""
        return tuple(_secrets_in(self))


def _secrets_in(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _secrets_in(inner)
    elif isinstance(value, list | tuple | frozenset | set):
        for inner in value:
            yield from _secrets_in(inner)
    elif isinstance(value, Mapping):
        yield from _secrets_in(list(value.values()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a provider promises. What is not promised is refused before any network call.

    idempotency_window: how long the vendor remembers our key; None where it does not deduplicate.
    settle_time: how long after a hand-over the vendor's own list of messages is surely complete, for `look_up`: a message
    that it lacks twice, this far apart, never arrived. None where the vendor cannot be asked.
    key_suffices: by our key alone a message is found (`look_up`), and known again, whatever its words and the time of its
    hand-over, which must only not be before `at`.
    echoes_key: the key comes back in its webhooks, so an event can settle a message in doubt.
    webhooks, inboxes: its reports are called in, and are fetched: from a mailbox, or from a list of the vendor's.
    html, headers: an email provider that can carry an HTML part, and headers of our own (one-click unsubscribe).
    posts, direct: a social provider that can publish to everybody, and that can write to one person.
    longest_text: how long a text may be, as the vendor counts (`Provider.length`). None where it does not say.
    images, text_alone: a social provider that can show an image, and that needs none.
    image_limits: what it takes of an image, where it is handed the bytes (`Provider.picture`); None where the vendor fetches
    it by itself.
    engagement: it tells how often what it published was liked, shared, answered, clicked, seen (`Provider.engagement`).
    templates: it can send a text that was approved beforehand. reply_window: how long after somebody wrote to us their
    medium lets us write to them freely; outside of it only an approved text arrives, or nothing. None where it does not ask.
    """

    channel: Channel
    idempotency_window: timedelta | None = None
    settle_time: timedelta | None = None
    key_suffices: bool = False
    echoes_key: bool = False
    webhooks: bool = False
    inboxes: bool = False
    html: bool = False
    headers: bool = False
    posts: bool = False
    direct: bool = True
    templates: bool = False
    reply_window: timedelta | None = None
    longest_text: int | None = None
    images: bool = False
    image_limits: ImageLimits | None = None
    text_alone: bool = True
    engagement: bool = False

    @property
    def gives_evidence(self) -> bool:
        """Whether a hand-over whose answer was lost can be cleared up, without waiting for a report: by our key, or by asking."""
        return self.idempotency_window is not None or self.settle_time is not None

    @property
    def repeatable_for(self) -> timedelta | None:
        """How long after the first hand-over our key may surely be used again: 23 hours of 24, 50 minutes of an hour."""
        window = self.idempotency_window
        return window - min(window / 6, timedelta(hours=1)) if window is not None else None


# ---------------------------------------------------------------- what goes out


@dataclass(frozen=True, kw_only=True, slots=True)
class EmailContent:
    """Subject, plain text, and where there is one the HTML part. `headers` are ours: List-Unsubscribe and its like."""

    subject: str
    text: str
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovedTemplate:
    """A text that the vendor keeps and has had approved, by its name there, and what fills its blanks."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextContent:
    """The text of an SMS, a chat or a social message. With a `template`, that is sent, and the text is what it says.

    image: the address (https) of a picture that a social message shows. image_alt: what it shows, for whoever does not see
    it; empty where nobody has said.
    """

    text: str
    template: ApprovedTemplate | None = None
    image: str | None = None
    image_alt: str = ""


Content = EmailContent | TextContent


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One message at the moment of its hand-over. A second hand-over of the same message is equal in every field.

    key: our name for the message, stable for ever, free of personal data; passed to the vendor wherever it takes one.
    to: the recipient's address on the channel (an email address, an E.164 number, a handle); None for a public post.
    sender: who it is from, as the channel writes it. at: the first hand-over's time (UTC), the Date of an email.
    valid_for: how long the vendor may keep the message waiting. callback_url: where this provider's webhooks go.
    seal: proves the key to us where anybody may write one, as in the address that bounces go to.
    """

    key: str
    channel: Channel
    message_class: MessageClass
    campaign: str
    to: str | None
    sender: str
    content: Content
    at: datetime
    valid_for: timedelta | None = None
    callback_url: str | None = None
    seal: str = ""

    @property
    def sealed_key(self) -> str:
        """The key with its seal, for a Message-ID and a bounce address: who shows it had the message."""
        return f"{self.key}-{self.seal}" if self.seal else self.key


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ENCODED_WORD = re.compile(r"=\?(?=[^?]*\?[bBqQ]\?)")
_PERSONAL = re.compile(
    r"(?<![^\s<>\"'(),;:=])[^\s<>\"'(),;:=]*(?:@|%40)[^\s<>\"'(),;]+|\+\d[\d\s().-]{5,}\d|\b\d{7,}\b|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b"
)


def safe_header(value: str) -> str:
    """Text for a header, a display name or a sender ID: one line, and nothing in it that decodes into another header.

    Control characters and line separators become a space; an RFC 2047 encoded word that came with the data is broken up,
    because mail software (Python before 3.11.10 among it) decodes it and writes out the line breaks inside.
    """
    if value.isprintable() and "=?" not in value:
        return value.strip()
    return _ENCODED_WORD.sub("= ?", _CONTROLS.sub(" ", value)).strip()


def storable(value: object) -> str:
    """Text from outside as every database and encoder can hold it: without NUL and half surrogate pairs; empty for None."""
    text = "" if value is None else str(value)
    if text.isascii() and "\0" not in text:  # most are
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def without_personal(text: str, *known: str, limit: int = 200) -> str:
    """A vendor's own words, fit for a log: no `known` address or secret, nothing that looks like an address or a number."""
    text = text[:20_000]  # a word cut in two here is not among the first that are shown
    folded = text.casefold()
    said = [word for word in known if word and word.casefold() in folded]  # few: and compiling an expression costs
    for word in sorted(said, key=len, reverse=True):
        text = re.sub(re.escape(word), "…", text, flags=re.IGNORECASE)
    return _PERSONAL.sub("…", _CONTROLS.sub(" ", text)).strip()[:limit]


# ---------------------------------------------------------------- how a hand-over ended


def _identity(value: object) -> str | None:
    """A vendor's id as text, a number's too (some vendors count); None for what names nothing."""
    counts = isinstance(value, int) and not isinstance(value, bool)
    return storable(value) or None if isinstance(value, str) or counts else None


SET_UP = "set_up"
"""The code where we could not even ask, because a secret is missing or makes no sense."""
NO_ACCESS = frozenset({401, 402})
"""HTTP statuses by which a vendor refuses whoever asks, whatever is asked: not known, not paid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The vendor has the message. The id may be missing where its answer could not be read; a number becomes text."""

    provider_message_id: str | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider_message_id", _identity(self.provider_message_id))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The vendor refused this message for good. `suppress` where it says that the address itself is bad or opted out."""

    code: str
    detail: str = ""
    suppress: SuppressionReason | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotSent:
    """The message surely was not taken; a later hand-over may work. `retry_after` where the vendor said how long to wait; all of
    its messages do. alone: it is this message's own matter, an image that cannot be fetched or that the vendor still reads: then
    only this one waits, and it tells nothing about whether the vendor works.

    no_access: the vendor refuses us and not this message: a token has ended, a key is wrong or missing, the account is closed
    or unpaid. Until somebody puts that right every message of this provider waits, and none dies of it. The code `set_up`
    says so by itself.
    """

    code: str
    detail: str = ""
    retry_after: timedelta | None = None
    alone: bool = False
    no_access: bool = False

    def __post_init__(self) -> None:
        if self.code == SET_UP:
            object.__setattr__(self, "no_access", True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ambiguous:
    """The request, or part of it, left, and no definite answer came: the message may or may not have been taken."""

    code: str
    detail: str = ""


Outcome = Accepted | Rejected | NotSent | Ambiguous


@dataclass(frozen=True, kw_only=True, slots=True)
class NotFound:
    """The vendor was asked and does not have the message. Evidence only once its list is complete (`settle_time`)."""

    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """Whether a vendor knows us by our credentials. `detail`: who we are to it, or what is wrong; no secret, no address.

    ends: when they end (UTC), where the vendor tells. remedy: what to do about that, where it is a matter of its own.
    """

    good: bool
    detail: str = ""
    ends: datetime | None = None
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engagement:
    """How often a post was liked, shared (reposted, quoted), answered, clicked and seen so far; None for what its vendor does not tell."""

    likes: int | None = None
    shares: int | None = None
    replies: int | None = None
    clicks: int | None = None
    views: int | None = None


def counted(value: object) -> int | None:
    """A count in a vendor's answer; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class MailRecords:
    """Where receivers of a provider's mail look in DNS, for `doctor`.

    domain: of the From address, in ASCII. envelope: the domain that bounces go to, whose SPF record counts; None where it is the vendor's own. dkim: the names at
    which public keys stand, each with the key that must be there (the record's `p=`), None where only the vendor knows it.
    """

    domain: str
    envelope: str | None = None
    dkim: Mapping[str, str | None] = field(default_factory=dict)


Finding = Accepted | Rejected | NotFound | Ambiguous
"""What a look-up says: the vendor has the message, refused it, does not have it, or did not answer plainly."""


# ---------------------------------------------------------------- the way back


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
    `machine` marks an open or click made by a proxy or scanner. `text` is an inbound message's text. `invitation`: what
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
    answered: bool = False
    invitation: str = ""
    channel: Channel | None = None
    origin: str = ""
    detail: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("dedupe", "message_key", "provider_message_id", "address"):
            value = getattr(self, name)
            if (text := _identity(value)) is None and (name == "dedupe" or value not in (None, "")):
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
    ("channel", Channel, True),
    ("origin", str, False),
    ("detail", Mapping, False),
)


def _broken_event(name: str, value: object, wanted: str) -> ProviderError:
    """Of the value only its kind is told: it may be a customer's."""
    got = "empty" if value == "" else "a time without one" if name == "at" and isinstance(value, datetime) else None
    what = f"an event's `{name}` must be {wanted}, and is {got or type(value).__name__}"
    return ProviderError(what, remedy="Mend the provider: see ProviderEvent in engine/provider.py.")


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
    page, as long as more of it is wanted; until a `time.monotonic()` instant. May raise SecretMissing and NoPlainAnswer. The
    first look goes back two days; every other to ten minutes before the newest that is known, as a vendor may list something
    late. What is told again is known by its `dedupe`. every: how long a vendor is left in peace that counts or charges for
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
        since = self._newest - LOOK_AGAIN if self._newest else now - FIRST_LOOK
        try:
            listed = self._ask(since, time.monotonic() + PATIENCE_SECONDS)
            told = list(takewhile(lambda event: event.at >= since, listed))
        except NoPlainAnswer as error:
            self._asked_at, self._problem = now, error.what
            raise _unread(error.what) from error
        self._asked_at, self._problem = now, ""  # not where a secret is missing: then nobody was asked
        new = [event for event in reversed(told) if event.dedupe not in self._known]
        for start in range(0, len(new), EVENTS_AT_ONCE):
            yield Fetched(events=new[start : start + EVENTS_AT_ONCE])
        if told:
            self._newest, self._known = max(event.at for event in told), frozenset(event.dedupe for event in told)


def _unread(why: str) -> ProviderError:
    return ProviderError(f"the list cannot be read ({why})", remedy="Look at the token's rights.")


HEARTBEAT_SECONDS = 0.1
Result = TypeVar("Result")


class Provider(ABC):
    """One vendor behind a channel. Instances are shared by all sender threads; making one needs no secret and no network."""

    Settings: ClassVar[type[ProviderSettings]] = ProviderSettings
    one_caller: ClassVar[bool] = False
    """Whether the thread that calls `send_many` drives all connections itself: a second one would only slow it down."""
    capabilities: Capabilities

    def __init__(self, settings: Any, *, http: Http) -> None:
        self.settings = settings
        self.http = http
        self._crew = ThreadPoolExecutor(self.settings.connections)  # it has no thread before there is work

    @abstractmethod
    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        """Hand one message over. `deadline` is a `time.monotonic()` instant for the whole call. Returns, never raises."""

    def send_many(self, batch: Sequence[Outgoing], *, deadline: float) -> Iterator[tuple[Outgoing, Outcome] | None]:
        """Hand over up to `batch_limit` messages, and yield how each ended as soon as that is known, in any order.

        While all that is left is waiting it yields None ten times a second, so that what has ended is not kept waiting for
        the slowest. Never raises; yields each message once. As it stands: `send` for each, on threads.
        """
        if len(batch) == 1:
            yield self._sent(batch[0], deadline)
            return
        yield from self.at_once([partial(self._sent, outgoing, deadline) for outgoing in batch])

    def _sent(self, outgoing: Outgoing, deadline: float) -> tuple[Outgoing, Outcome]:
        try:
            return outgoing, self.send(outgoing, deadline=deadline)
        except Exception as error:  # against its contract; what it did, nobody knows, and the others go on
            return outgoing, Ambiguous(code="provider_error", detail=type(error).__name__)

    def at_once(self, calls: Sequence[Callable[[], Result]]) -> Iterator[Result | None]:
        """Make these calls on as many threads as there are connections, and yield what each returned as it ends.

        While none ends it yields None ten times a second. Calls that have not begun when nobody asks any more are not made.
        """
        ended: SimpleQueue[Future[Result]] = SimpleQueue()
        made = [self._crew.submit(call) for call in calls]
        try:
            for call in made:
                call.add_done_callback(ended.put)
            waiting = len(made)
            while waiting:
                try:
                    result = ended.get(timeout=HEARTBEAT_SECONDS).result()
                except Empty:
                    yield None
                else:
                    waiting -= 1
                    yield result
        finally:
            for call in made:
                call.cancel()

    @property
    def batch_limit(self) -> int:
        """How many messages one `send_many` takes: those of one request, or of all connections."""
        return int(self.settings.connections)

    @property
    def in_flight_limit(self) -> int:
        """How many messages may be on their way at once, over all calls: so many a crash can leave in doubt."""
        return int(self.settings.connections)

    @property
    def rate(self) -> Rate | None:
        """How many messages the vendor takes within a time, from all senders together; None where config.yaml says nothing."""
        given: Rate | None = self.settings.rate
        return given

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """Ask the vendor whether it has a message that was handed over at `outgoing.at`, without sending it. Never raises."""
        return Ambiguous(code="no_look_up", detail="this vendor cannot be asked")

    def length(self, text: str) -> int:
        """How long a text is as the vendor counts; characters, where it counts like everybody."""
        return len(text)

    def engagement(self, post_ids: Sequence[str], *, deadline: float) -> Mapping[str, Engagement]:
        """How our own posts, by the vendor's ids, have fared so far, at most a hundred of them. What is missing in the answer
        is not there any more. Raises NoPlainAnswer or SecretMissing.
        """
        return {}

    def refused_as_double(self, outgoing: Outgoing, *, code: str, deadline: float) -> Outcome:
        """What it proves that a vendor refused a message because it has the same words already: it is asked which those are.

        Ours, handed over before, or another message's, and then this one is refused. Where it cannot tell, that is doubt.
        """
        match self.look_up(outgoing, deadline=deadline):
            case NotFound():
                return Rejected(code=code, detail="the same words stand there already")
            case Accepted() as found:
                return found
            case other:
                return Ambiguous(code=code, detail=other.code)

    def picture(self, outgoing: Outgoing, *, deadline: float) -> Picture | NotSent | Rejected | None:
        """The image that a message shows, as its vendor takes it (`image_limits`); None where it shows none. Half of the time
        left may go by. What is no picture means that nothing was published.
        """
        content, limits = outgoing.content, self.capabilities.image_limits
        if not isinstance(content, TextContent) or content.image is None or limits is None:
            return None
        now = time.monotonic()
        return self.http.picture(content.image, limits, deadline=now + (deadline - now) / 2)

    def verify(self, *, deadline: float) -> Verified | None:
        """Ask the vendor whether it knows us, and send nothing. None where it cannot be asked. Never raises."""
        return None

    def mail_records(self, sender: str) -> MailRecords | None:
        """Where DNS must vouch for mail from `sender`; None where this is no mail. Raises ContentError for no address."""
        return None

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        """The events in a webhook's body, after its signature was checked.

        Raises ForgedWebhook; IntakeError where the signature is right and the body cannot be read.
        """
        raise ForgedWebhook("this provider has no webhooks", remedy="Remove the webhook at the vendor.")

    def challenge(self, webhook: Webhook) -> str | None:
        """What a vendor wants to hear that asks whether this webhook is ours; None where it does not ask. Raises ForgedWebhook."""
        return None

    @property
    def inboxes(self) -> Sequence[Inbox]:
        """Where reports about this provider's messages are fetched from, besides its webhooks."""
        return ()

    def close(self) -> None:
        """Give back threads and connections. Whoever still sends may do so; later calls open new ones."""
        crew, self._crew = self._crew, ThreadPoolExecutor(self.settings.connections)
        crew.shutdown(wait=False)

    def words(self, text: object, outgoing: Outgoing) -> str:
        """The vendor's words as an outcome's detail: without the recipient's address and without our secrets."""
        secrets = [os.environ.get(secret.variable, "") for secret in self._secrets]
        return without_personal(str(text or ""), outgoing.to or "", *secrets)

    @cached_property
    def _secrets(self) -> tuple[Secret, ...]:
        secrets: tuple[Secret, ...] = self.settings.secrets()
        return secrets


def refuse_what_is_not_promised(provider: Provider, outgoing: Outgoing) -> None:
    """Raises ProviderError, before any network, where a message asks for what the provider does not promise."""
    content = outgoing.content
    email = content if isinstance(content, EmailContent) else None
    what = _not_promised(
        provider.capabilities,
        outgoing.channel,
        public=outgoing.to is None,
        email=email is not None,
        html=email is not None and email.html is not None,
        headers=email is not None and bool(email.headers),
        template=isinstance(content, TextContent) and content.template is not None,
        long=too_long(provider, content) is not None,
        image=isinstance(content, TextContent) and content.image is not None,
    )
    if what is not None:
        what = f"{type(provider).__name__} {what}"
        raise ProviderError(what, remedy="Route this campaign to a provider that can: see docs/channels.md.")


def too_long(provider: Provider, content: Content) -> int | None:
    """A text's length where it is longer than the provider promises to carry; else None."""
    most = provider.capabilities.longest_text
    if most is None or not isinstance(content, TextContent):
        return None
    length = provider.length(content.text)
    return length if length > most else None


@lru_cache(maxsize=256)  # the messages of a run all ask for the same
def _not_promised(
    can: Capabilities,
    channel: Channel,
    *,
    public: bool,
    email: bool,
    html: bool,
    headers: bool,
    template: bool,
    long: bool,
    image: bool,
) -> str | None:
    checks = (
        (channel is can.channel, f"sends {can.channel}, not {channel}"),
        (can.posts or not public, "cannot publish to everybody"),
        (can.direct or public, "cannot write to one person"),
        ((can.channel is Channel.EMAIL) == email, "was given another channel's content"),
        (can.html or not html, "cannot carry HTML"),
        (can.headers or not headers, "cannot carry headers of ours"),
        (can.templates or not template, "cannot send an approved template"),
        (can.images or not image, "cannot show an image"),
        (can.text_alone or image, "publishes no text without an image"),
        (not long, f"takes texts of at most {can.longest_text or 0:,} letters"),
    )
    return next((what for holds, what in checks if not holds), None)


# ---------------------------------------------------------------- one HTTP call, one deadline


class Http(Wire):
    """The HTTP client given to every provider: pooled, redirects never followed, one deadline a call."""

    def call(
        self,
        method: str,
        url: str,
        *,
        deadline: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer | NotSent | Ambiguous:
        """One request, and what its end proves: an Answer, NotSent when no byte of it left, Ambiguous for anything else.

        `deadline` is a `time.monotonic()` instant over the whole exchange; a mapping as body is sent as a form.
        """
        ended = self.exchange(method, url, deadline=deadline, headers=headers, body=body, query=query, auth=auth)
        match ended:
            case Answer():
                return ended
            case Broken(left=False):
                return NotSent(code="not_connected", detail=ended.kind)
            case Broken():
                return Ambiguous(code="no_answer", detail=ended.kind)

    def picture(self, url: str, limits: ImageLimits, *, deadline: float) -> Picture | NotSent | Rejected:
        """An image from where it lies: NotSent where it cannot be had now, Rejected where it is none that the vendor takes.

        The address came with the data, so only the public internet is called, no redirect is followed, and what it is its
        bytes say.
        """
        most = limits.most_bytes + 1
        got = self.exchange("GET", url, deadline=deadline, headers={"Accept": "image/*"}, most=most, outside=True)
        if isinstance(got, Broken):
            if got.kind == NotPublic.__name__:
                return Rejected(code="image_not_public", detail="the image's address is not on the public internet")
            silent = f"the image's address does not answer ({got.kind})"
            return NotSent(code="image_no_answer", detail=silent, alone=True)
        if not got.good or not got.complete:
            led = "; redirects are not followed: write where it leads to" if 300 <= got.status < 400 else ""
            return NotSent(code=f"image_http_{got.status}", detail=f"the image cannot be fetched{led}", alone=True)
        found = picture(got.body)
        if found is None:
            return Rejected(code="image_type", detail="what lies at the image's address is no JPEG, PNG, GIF or WebP")
        wrong = limits.objection(found)
        return Rejected(code=wrong[0], detail=wrong[1]) if wrong else found

    def ask(
        self,
        method: str,
        url: str,
        *,
        deadline: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Any:
        """The JSON with which a vendor answers a question, for `look_up`. Raises NoPlainAnswer for anything but all of it."""
        answer = self.call(method, url, deadline=deadline, headers=headers, body=body, query=query, auth=auth)
        if not isinstance(answer, Answer):
            raise NoPlainAnswer(answer.code)
        if not answer.good or not answer.complete:
            raise NoPlainAnswer(f"http_{answer.status}")
        try:
            return json.loads(answer.text)
        except (ValueError, RecursionError) as error:
            raise NoPlainAnswer("unreadable") from error


def verified(answer: Answer | NotSent | Ambiguous, detail: str = "") -> Verified:
    """What an answer to a question with our credentials tells; `detail` for a good one."""
    if isinstance(answer, NotSent) and answer.no_access:
        return Verified(good=False, detail=f"the credentials are refused ({answer.detail or answer.code})")
    if not isinstance(answer, Answer):
        return Verified(good=False, detail=f"no answer ({answer.detail or answer.code})")
    if answer.good:
        return Verified(good=True, detail=detail)
    known = {401: "the credentials are refused", 403: "the credentials lack a right that is needed"}
    return Verified(good=False, detail=f"{known.get(answer.status, 'no plain answer')} ({answer.status})")


class Remembered(OrderedDict[tuple[str, ...], str]):
    """What a vendor already has of a message that it was not surely handed, by what makes it the same: at most so much of it, as
    each process may forget it. The oldest makes room.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, mine: tuple[str, ...], name: str) -> None:
        super().__setitem__(mine, name)
        if len(self) > self._most:
            self.popitem(last=False)


CLOCKS_DIFFER = timedelta(minutes=5)
HAND_OVER_LASTS = timedelta(minutes=10)


def taken_then(created: datetime, at: datetime) -> bool | None:
    """Whether what a vendor dates `created` is what was handed over to it at `at`, for vendors who know no key of ours.

    True within ten minutes after it; False more than five minutes before it, as clocks may differ; None where it cannot
    be told: a little before, or so late that it may be another message of the same words.
    """
    if created < at - CLOCKS_DIFFER:
        return False
    return True if at - timedelta(seconds=1) <= created <= at + HAND_OVER_LASTS else None


def taken_at(date: object, at: datetime) -> bool | None:
    """`taken_then` of a date in ISO 8601, as most vendors write it; None for what is no date."""
    try:
        return taken_then(datetime.fromisoformat(str(date)), at)
    except (TypeError, ValueError):
        return None


def which(same: Iterable[tuple[object, bool | None]]) -> Accepted | NotFound | Ambiguous:
    """Of a vendor's messages with the same words, each by its id and by whether it was taken then (`taken_then`): ours."""
    unclear = False
    for name, then in same:
        if then:
            return Accepted(provider_message_id=storable(name) or None)
        unclear = unclear or then is None
    return Ambiguous(code="unclear") if unclear else NotFound()


def found_out(ask: Callable[[], Finding]) -> Finding:
    """What a look-up that asks finds; doubt where it cannot ask, or is told nothing plainly."""
    try:
        return ask()
    except SecretMissing as error:
        return Ambiguous(code="set_up", detail=error.what)
    except NoPlainAnswer as error:
        return Ambiguous(code=error.what)


def text_of(outgoing: Outgoing) -> str:
    """The text of a message that is no email, as every vendor can take it."""
    return storable(outgoing.content.text) if isinstance(outgoing.content, TextContent) else ""


def alt_of(outgoing: Outgoing) -> str:
    """What a message's image shows, in words, as every vendor can take it; empty where nobody has said."""
    return storable(outgoing.content.image_alt) if isinstance(outgoing.content, TextContent) else ""


def retry_after(
    headers: Mapping[str, str], *, now: datetime | None = None, cap: timedelta = timedelta(hours=1)
) -> timedelta | None:
    """Retry-After in both its forms (RFC 9110 §10.2.3), at most `cap`; None where it is absent or makes no sense."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), cap)
    try:
        until = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - (now or datetime.now(UTC)), timedelta()), cap)


def until_reset(
    headers: Mapping[str, str], name: str, *, now: datetime | None = None, cap: timedelta = timedelta(hours=1)
) -> timedelta | None:
    """How long until a vendor's limit begins anew, by a header that tells the second since 1970; at most `cap`."""
    value = headers.get(name, "").strip()
    if not (value.isascii() and value.isdigit()):
        return None
    left = int(value[:12]) - (now or datetime.now(UTC)).timestamp()
    return min(timedelta(seconds=max(left, 0)), cap)


def outcome_of_status(
    answer: Answer, *, code: str = "", detail: str = "", reset: str = ""
) -> NotSent | Rejected | Ambiguous:
    """The evidence in an HTTP status that is no success: the default for every vendor, refined by each one's own codes.

    reset: the header that tells when a limit begins anew, where the vendor sends that in place of Retry-After.

    429: surely not taken. 401, 402: we are refused, not the message. 301, 307, 308, 401 to 405: our set-up is wrong, nothing was taken, and it can be put right.
    Other 4xx but 408, 409, 425: the vendor read this message and refused it. Everything else proves nothing.
    """
    code = code or f"http_{answer.status}"
    if answer.status == 429:
        wait = retry_after(answer.headers) or (until_reset(answer.headers, reset) if reset else None)
        return NotSent(code=code, detail=detail, retry_after=wait)
    if answer.status in (301, 307, 308, 401, 402, 403, 404, 405):
        return NotSent(code=code, detail=detail, no_access=answer.status in NO_ACCESS)
    if 400 <= answer.status < 500 and answer.status not in (408, 409, 425):
        return Rejected(code=code, detail=detail)
    return Ambiguous(code=code, detail=detail)


def surely_not(refused: NotSent | Rejected | Ambiguous) -> NotSent | Rejected:
    """Of a request that only prepares, like an upload: what it may have left behind is seen by nobody, nothing was published."""
    return NotSent(code=refused.code, detail=refused.detail) if isinstance(refused, Ambiguous) else refused


def prepared(
    ended: Answer | NotSent | Ambiguous, refusal: Callable[[Answer], NotSent | Rejected | Ambiguous]
) -> Answer | NotSent | Rejected:
    """How a request ended that only prepares: the vendor's yes, or why nothing was published (`surely_not`)."""
    if isinstance(ended, Answer) and ended.good:
        return ended
    return surely_not(refusal(ended) if isinstance(ended, Answer) else ended)


__all__ = [
    "GIF",
    "JPEG",
    "NO_ACCESS",
    "PNG",
    "WEBP",
    "Accepted",
    "Ambiguous",
    "Answer",
    "ApprovedTemplate",
    "Capabilities",
    "Content",
    "DeadlineReader",
    "EmailContent",
    "Engagement",
    "Fetched",
    "Finding",
    "Http",
    "ImageLimits",
    "Inbox",
    "KeyOf",
    "MailRecords",
    "NotFound",
    "NotSent",
    "Outcome",
    "Outgoing",
    "Picture",
    "Polled",
    "Provider",
    "ProviderEvent",
    "ProviderSettings",
    "Rejected",
    "Remembered",
    "Secret",
    "SecretRef",
    "TextContent",
    "TextOrSecret",
    "Verified",
    "Webhook",
    "alt_of",
    "counted",
    "found_out",
    "outcome_of_status",
    "prepared",
    "refuse_what_is_not_promised",
    "retry_after",
    "reveal",
    "safe_header",
    "storable",
    "surely_not",
    "taken_at",
    "taken_then",
    "text_of",
    "time_left",
    "too_long",
    "until_reset",
    "verified",
    "which",
    "without_personal",
]

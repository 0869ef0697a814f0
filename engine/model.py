"""The nouns as values: states and the table of their transitions, reasons, event names, customers and messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class Channel(StrEnum):
    """The medium of a message."""

    EMAIL = "email"
    SMS = "sms"
    WHATSAPP = "whatsapp"
    MESSENGER = "messenger"
    TELEGRAM = "telegram"
    SOCIAL = "social"
    WEBHOOK = "webhook"


POSTS = frozenset({Channel.TELEGRAM, Channel.SOCIAL, Channel.WEBHOOK})
"""The channels on which something can be published to everybody."""


class MessageClass(StrEnum):
    """Commercial messages need consent and respect quiet hours and pressure; transactional ones answer the customer."""

    COMMERCIAL = "commercial"
    TRANSACTIONAL = "transactional"


class DeliveryClass(StrEnum):
    """What is done with a hand-over of whose end there is no evidence: leave it unknown, or hand it over once more, marked.

    EXACTLY_ONCE is for providers that always give evidence in time, and is refused for others. ASK waits for a person.
    """

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"
    ASK = "ask"


class Lane(StrEnum):
    """Who goes first when messages wait: a triggered receipt never waits behind a bulk run."""

    TRIGGERED = "triggered"
    BULK = "bulk"


LANE_RANK: Mapping[Lane, int] = MappingProxyType({Lane.TRIGGERED: 0, Lane.BULK: 1})


class State(StrEnum):
    """Where one message stands. Delivered, opened and the like are not here: they live beside it and move nothing back."""

    PENDING = "pending"
    CLAIMED = "claimed"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    DEAD = "dead"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


OPEN = frozenset({State.PENDING, State.CLAIMED, State.SENDING, State.IN_DOUBT})
FINAL = frozenset(State) - OPEN
MAY_HAVE_BEEN_SENT = (State.SENDING, State.IN_DOUBT, State.ACCEPTED, State.UNKNOWN)
"""Where a message stands that somebody may have read, or may read yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """One allowed change of state. One that `denies` says that nobody has the message: where an earlier hand-over is still
    in doubt that would be a guess, and the message becomes `unknown` instead, with the same reason.
    """

    name: str
    origins: frozenset[State]
    target: State
    denies: bool
    meaning: str


def _table(*rows: tuple[str, tuple[State, ...], State, bool, str]) -> Mapping[str, Transition]:
    return MappingProxyType(
        {
            name: Transition(name=name, origins=frozenset(origins), target=target, denies=denies, meaning=meaning)
            for name, origins, target, denies, meaning in rows
        }
    )


_S = State
_HANDED_OVER = (_S.SENDING, _S.IN_DOUBT)
_NOBODY_KNOWS = (_S.IN_DOUBT, _S.UNKNOWN)
_PROVABLE = (_S.PENDING, _S.CLAIMED, _S.SENDING, _S.IN_DOUBT, _S.UNKNOWN)
TRANSITIONS: Mapping[str, Transition] = _table(
    ("claim", (_S.PENDING,), _S.CLAIMED, False, "a sender takes the message under a lease"),
    ("release", (_S.CLAIMED,), _S.PENDING, False, "held, lease over, or the sender stops: surely not sent"),
    ("begin", (_S.CLAIMED,), _S.SENDING, False, "the intent is durable; the provider's call comes next"),
    ("accept", _HANDED_OVER, _S.ACCEPTED, False, "the provider said yes"),
    ("reject", _HANDED_OVER, _S.REJECTED, True, "the provider said no, for good"),
    (
        "retry",
        _HANDED_OVER,
        _S.PENDING,
        False,
        "surely not taken, or proved never to have arrived: again after a back-off",
    ),
    ("doubt", (_S.SENDING,), _S.IN_DOUBT, False, "the request left and no answer came, or its sender died"),
    ("prove_accepted", _PROVABLE, _S.ACCEPTED, False, "the provider's own event shows that it has the message"),
    ("prove_rejected", _PROVABLE, _S.REJECTED, False, "the provider's own event shows that it dropped the message"),
    (
        "resend",
        (_S.IN_DOUBT,),
        _S.PENDING,
        False,
        "a second hand-over that cannot double, or that the class allows once",
    ),
    ("doubt_again", (_S.CLAIMED,), _S.IN_DOUBT, False, "that second hand-over may not be made any more"),
    ("give_up", (_S.IN_DOUBT,), _S.UNKNOWN, False, "no evidence came within the window; said aloud, never guessed"),
    ("judge_accepted", _NOBODY_KNOWS, _S.ACCEPTED, False, "a person says that it arrived; who and why is on record"),
    (
        "judge_rejected",
        _NOBODY_KNOWS,
        _S.REJECTED,
        False,
        "a person says that it was refused; who and why is on record",
    ),
    ("judge_resend", _NOBODY_KNOWS, _S.PENDING, False, "a person wants it handed over once more, marked; on record"),
    ("skip", (_S.CLAIMED,), _S.SKIPPED, True, "policy or content withholds the message"),
    ("expire", (_S.PENDING, _S.CLAIMED), _S.EXPIRED, True, "too late to be of use"),
    ("die", _HANDED_OVER, _S.DEAD, True, "surely not taken, and no attempt or time is left"),
    ("cancel", (_S.PENDING, _S.CLAIMED), _S.CANCELLED, True, "an operator stopped the run"),
)


class Reason(StrEnum):
    """Why a message waits or was not sent. One word per cause, the same in the ledger, the report and `why`."""

    HOLDOUT = "holdout"
    NO_CONTACT_POINT = "no_contact_point"
    NO_CONSENT = "no_consent"
    OPTED_OUT = "opted_out"
    SUPPRESSED = "suppressed"
    QUIET_HOURS = "quiet_hours"
    FREQUENCY_CAP = "frequency_cap"
    TEMPLATE_ERROR = "template_error"
    NOT_LATER_THAN = "not_later_than"
    REFUSED = "refused"
    NO_ANSWER = "no_answer"
    SENDER_DIED = "sender_died"
    NO_EVIDENCE = "no_evidence"
    PROVIDER_DOWN = "provider_down"
    NO_ACCESS = "no_access"
    NOT_READY = "not_ready"
    RATE_LIMITED = "rate_limited"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    SENDER_STOPPED = "sender_stopped"
    LEASE_OVER = "lease_over"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    KEY_FORGOTTEN = "key_forgotten"
    CONTENT_CHANGED = "content_changed"
    NEVER_ARRIVED = "never_arrived"
    CANARY = "canary"
    SETTLED_BY_HAND = "settled_by_hand"
    CONTACT_CHANGED = "contact_changed"
    REPLY_WAITS = "reply_waits"
    OUTSIDE_WINDOW = "outside_window"
    FAULT = "fault"
    RESTORED = "restored"
    RUN_SPENT = "run_spent"
    DAY_SPENT = "day_spent"


class EventName(StrEnum):
    """What providers and our own links report about a message, in one vocabulary for all vendors.

    REACTED is a like or another sign under a message or post, SHARED a repost, boost or quote of it, REPLIED words of their own.
    COUNTED is about a post to everybody: how often it was liked, shared, answered, clicked and seen up to then.
    """

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    BOUNCED_SOFT = "bounced_soft"
    REJECTED = "rejected"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    OPTED_OUT = "opted_out"
    OPTED_IN = "opted_in"
    REPLIED = "replied"
    REACTED = "reacted"
    SHARED = "shared"
    COUNTED = "counted"
    OTHER = "other"


class ConsentStatus(StrEnum):
    OPTED_IN = "opted_in"
    OPTED_OUT = "opted_out"


class ConsentRule(StrEnum):
    """How a purpose treats silence: `opt_in` needs a yes, `opt_out` needs only the absence of a no, `none` asks nothing."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"
    NONE = "none"


ANSWERS = "answers"
"""The purpose of what answers a STOP or a HELP: built in, asks no consent, and goes to who has opted out, too."""


class SuppressionReason(StrEnum):
    BOUNCED = "bounced"
    SOFT_BOUNCED = "soft_bounced"  # again and again, see `soft_bounces` in config.yaml
    COMPLAINED = "complained"
    OPTED_OUT = "opted_out"
    PROVIDER = "provider"


class AttributeType(StrEnum):
    """What a declared customer attribute or event property holds."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    LIST = "list"


PUBLISHER = "@"
"""What parts a step from the provider that publishes it: `main@bluesky`."""

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]
"""What templates and JSON columns may hold: plain values only, never objects."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A message in a sender's hands: valid while the row still carries this epoch and `lease_until` is ahead (UTC)."""

    message_id: int
    epoch: int
    owner: str
    lease_until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One intended communication, as a sender sees it: campaign × run × step × customer × channel.

    `customer_id` is None for a social post, which has no recipient. `values` are what the template was given at the
    hand-over, `content_hash` is of what it made of them, `sent_to` and `provider` its address and vendor (None before it). `doubt_since`: since when an earlier
    hand-over may have arrived and nobody knows; None where there is no such doubt. Times are UTC.
    """

    id: int
    claim: Claim
    run_id: int
    campaign: str
    step: str
    customer_id: int | None
    channel: Channel
    attempts: int
    owed_at: datetime
    not_after: datetime | None
    first_sent_at: datetime | None
    possible_duplicate: bool
    doubt_since: datetime | None = None
    values: Mapping[str, Plain] | None = None
    sent_to: str | None = None
    provider: str | None = None
    content_hash: str | None = None

    @property
    def publisher(self) -> str | None:
        """The one provider that may publish it: of a post that several do, each as a message of its own; None for all others."""
        return self.step.partition(PUBLISHER)[2] or None

    @property
    def suspect(self) -> bool:
        """Whether it may have been handed over in a time of which a restored database knows nothing."""
        return self.doubt_since is not None and self.first_sent_at is None

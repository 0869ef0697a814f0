"""How a hand-over ended, and what a vendor says when it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.model import SuppressionReason
from engine.provider.texts import identity

NOT_CONNECTED = "not_connected"
"""The code where no connection stood."""
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
        object.__setattr__(self, "provider_message_id", identity(self.provider_message_id))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The vendor refused this message for good. `suppress` where it says that the address itself is bad or opted out."""

    code: str
    detail: str = ""
    suppress: SuppressionReason | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotSent:
    """The message surely was not taken; a later hand-over may work. `retry_after` where the vendor asks to wait, by its own
    word or by a guess of ours (`told_to_wait`); all of its messages do, and it uses up no attempt. alone: it is this message's own matter, an image that cannot be fetched or that the vendor still reads: then
    only this one waits, and it tells nothing about whether the vendor works.

    no_access: the vendor refuses us and not this message: a token has ended, a key is wrong or missing, the account is closed
    or unpaid. Until somebody puts that right every message of this provider waits, and none dies of it. The code `set_up`
    says so by itself. down: the vendor cannot be reached, or greets nobody, so that no message has had its try: none dies of
    that either. The code `not_connected` says so by itself.
    """

    code: str
    detail: str = ""
    retry_after: timedelta | None = None
    alone: bool = False
    no_access: bool = False
    down: bool = False

    def __post_init__(self) -> None:
        if self.code == SET_UP:
            object.__setattr__(self, "no_access", True)
        if self.code == NOT_CONNECTED:
            object.__setattr__(self, "down", True)

    @property
    def begun(self) -> bool:
        """Whether the message itself had its try: the vendor was there, and let us in."""
        return not (self.no_access or self.down)


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


Finding = Accepted | Rejected | NotFound | Ambiguous
"""What a look-up says: the vendor has the message, refused it, does not have it, or did not answer plainly."""


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

"""What a provider promises; what it does not is refused before any network call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from engine.images import ImageLimits
from engine.model import Channel


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

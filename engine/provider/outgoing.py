"""What goes out: one message at the moment of its hand-over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.model import Channel, MessageClass
from engine.provider.texts import storable


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


def text_of(outgoing: Outgoing) -> str:
    """The text of a message that is no email, as every vendor can take it."""
    return storable(outgoing.content.text) if isinstance(outgoing.content, TextContent) else ""


def alt_of(outgoing: Outgoing) -> str:
    """What a message's image shows, in words, as every vendor can take it; empty where nobody has said."""
    return storable(outgoing.content.image_alt) if isinstance(outgoing.content, TextContent) else ""

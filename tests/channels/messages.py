"""Messages that the tests of the providers send."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from engine.model import Channel, MessageClass
from engine.provider import EmailContent, Outgoing, TextContent

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

EMAIL = Outgoing(
    key="0a1b2c3d-7",
    channel=Channel.EMAIL,
    message_class=MessageClass.COMMERCIAL,
    campaign="win-back",
    to="ana@customer.example",
    sender="Example Records <hello@shop.example>",
    content=EmailContent(subject="Hello", text="Hello Ana\n", html="<p>Hello Ana</p>\n"),
    at=NOW,
)
SMS = replace(
    EMAIL,
    channel=Channel.SMS,
    to="+358401234567",
    sender="+15005550006",
    content=TextContent(text="Hello Ana"),
    callback_url="https://shop.example/v1/webhooks/texts",
)
POST = replace(
    EMAIL, channel=Channel.SOCIAL, to=None, sender="@records@social.example", content=TextContent(text="New records!")
)


def shows(image: str, alt: str = "A record", text: str = "New records!") -> Outgoing:
    """The sample post with an image."""
    return replace(POST, content=TextContent(text=text, image=image, image_alt=alt))


def soon(seconds: float = 5.0) -> float:
    """A deadline that many seconds ahead."""
    return time.monotonic() + seconds


def letter(to: str | None = None, **content: Any) -> Outgoing:
    """The sample email with other content or another recipient."""
    assert isinstance(EMAIL.content, EmailContent)
    return replace(EMAIL, to=to or EMAIL.to, content=replace(EMAIL.content, **content))

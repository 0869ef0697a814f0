"""Messages shown on the screen instead of being sent: for the first day, and for looking."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any, TextIO

from engine.model import POSTS, Channel
from engine.provider import (
    Accepted,
    Ambiguous,
    Capabilities,
    EmailContent,
    Http,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderSettings,
    storable,
    time_left,
)

WIDTH = 78


class ConsoleSettings(ProviderSettings):
    """channel: the one it stands in for."""

    channel: Channel = Channel.EMAIL


class Console(Provider):
    """Writes to `stream`, or to standard output as it is at that moment."""

    Settings = ConsoleSettings
    settings: ConsoleSettings

    def __init__(self, settings: ConsoleSettings, *, http: Http, stream: TextIO | None = None) -> None:
        super().__init__(settings, http=http)
        email, channel = settings.channel is Channel.EMAIL, settings.channel
        self.capabilities = Capabilities(
            channel=channel,
            html=email,
            headers=email,
            posts=channel in POSTS,
            templates=channel is Channel.WHATSAPP,
            images=channel is Channel.SOCIAL,
        )
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        try:
            time_left(deadline)
        except TimeoutError:
            return NotSent(code="deadline", detail="no time was left")
        shown = framed(outgoing)
        with self._lock:
            stream: Any = self._stream or sys.stdout
            try:
                encoding = stream.encoding or "utf-8"
                stream.write(shown.encode(encoding, "replace").decode(encoding))
                stream.flush()
            except (OSError, ValueError) as error:
                return Ambiguous(code="screen", detail=type(error).__name__)
        return Accepted(provider_message_id=outgoing.key)


def framed(outgoing: Outgoing) -> str:
    """The message in a frame: who, to whom, what."""
    content = outgoing.content
    lines = [f"From: {outgoing.sender}", f"To: {outgoing.to or 'everybody'}"]
    if isinstance(content, EmailContent):
        lines += [f"Subject: {content.subject}", *(f"{name}: {value}" for name, value in content.headers.items())]
    elif content.template is not None:
        lines += [f"Template: {content.template.name} {json.dumps(dict(content.template.variables))}"]
    elif content.image is not None:
        lines += [f"Image: {content.image}", *([f"Image-Alt: {content.image_alt}"] if content.image_alt else [])]
    lines += ["", *storable(content.text).splitlines()]
    if isinstance(content, EmailContent) and content.html is not None:
        lines += ["", "-- HTML --", *content.html.splitlines()]
    title = f" {outgoing.channel} · {outgoing.campaign} · {outgoing.key} "
    shown = "\n".join(f"│ {_visible(line)}" for line in lines)
    return f"┌─{title.ljust(WIDTH, '─')}\n{shown}\n└{'─' * (WIDTH + 1)}\n"


def _visible(line: str) -> str:
    """A line without the control characters that would command the terminal."""
    return "".join(c if c == "\t" or (c >= " " and not "\x7f" <= c <= "\x9f") else "�" for c in storable(line))

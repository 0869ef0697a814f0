"""What people on Mastodon did with our posts, and what they answered: its notifications, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from engine.errors import NoPlainAnswer
from engine.model import EventName
from engine.provider import ProviderEvent, storable

HEARD: Mapping[str, EventName] = {
    "mention": EventName.REPLIED,
    "favourite": EventName.REACTED,
    "reblog": EventName.SHARED,
    "quote": EventName.SHARED,
}
"""Kinds of notifications that are asked for, in our words."""

_TO_WHOM = re.compile(r"^(?:@[\w.-]+(?:@[\w.-]+)?\s+)+")


def heard(told: Mapping[str, Any], home: str) -> ProviderEvent | None:
    """One notification. `home`: the domain that the server leaves out of its own people's handles. None for what is none."""
    try:
        kind, status, who = str(told["type"]), told["status"], storable(told["account"]["acct"])
        at = datetime.fromisoformat(str(told["created_at"])).astimezone(UTC)
        replied = kind == "mention"
        return ProviderEvent(
            name=HEARD.get(kind, EventName.OTHER),
            at=at,
            dedupe=f"notification:{id_of(told)}",
            provider_message_id=storable(status["in_reply_to_id"] if replied else status["id"]) or None,
            address=f"@{who}" if "@" in who else f"@{who}@{home}",
            text=_said(storable(status["content"])) if replied else "",
            detail={} if replied else {"reaction": kind},
        )
    except (KeyError, TypeError, ValueError, OverflowError, NoPlainAnswer):
        return None


def at_home(told: Mapping[str, Any]) -> bool:
    """Whether it is about one of the server's own people."""
    account = told.get("account")
    return isinstance(account, dict) and "@" not in storable(account.get("acct"))


class _Words(HTMLParser):
    """The words of a status, which is HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in ("br", "p"):
            self.words.append("\n")


def _said(content: str) -> str:
    """What somebody said, without the handles that it begins with: those only say to whom."""
    reader = _Words()
    reader.feed(content)
    reader.close()
    return _TO_WHOM.sub("", "".join(reader.words).strip())


def id_of(entity: Mapping[str, Any]) -> str:
    """Raises NoPlainAnswer where there is none, or none that may stand in a path."""
    number = storable(entity.get("id"))
    if not number.isalnum():
        raise NoPlainAnswer("unreadable")
    return number

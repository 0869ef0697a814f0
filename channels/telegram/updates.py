"""What people do with a bot, in our words: an update that Telegram brings, or one that it is asked for.

https://core.telegram.org/bots/api#update
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from engine.errors import ProviderError
from engine.model import EventName, SuppressionReason
from engine.provider import Ambiguous, Answer, Fetched, Inbox, KeyOf, NotSent, ProviderEvent, storable

UPDATES = frozenset({"message", "message_reaction", "message_reaction_count", "my_chat_member"})
"""What is wanted: reactions come only where they are asked for by name."""
PATIENCE_SECONDS = 30.0
AT_ONCE = 100

Call = Callable[[str, Mapping[str, Any], float], Answer | NotSent | Ambiguous]
"""A method of the API, its parameters, and until when (`time.monotonic()`)."""


class Updates(Inbox):
    """The updates that wait at Telegram, for a day. To ask for later ones confirms the earlier."""

    name = "updates"

    def __init__(self, call: Call) -> None:
        self._call = call
        self._next = 0

    def fetch(self, key_of: KeyOf, *, now: datetime) -> Iterator[Fetched]:
        while True:
            asked = {"offset": self._next, "limit": AT_ONCE, "timeout": 0, "allowed_updates": sorted(UPDATES)}
            told = self._asked(self._call("getUpdates", asked, time.monotonic() + PATIENCE_SECONDS))
            if not told:
                return
            yield Fetched(events=[read(update, now) for update in told])
            self._next = max(int(update["update_id"]) for update in told) + 1

    def _asked(self, answer: Answer | NotSent | Ambiguous) -> list[Mapping[str, Any]]:
        if not isinstance(answer, Answer):
            raise ProviderError(f"Telegram cannot be asked: {answer.detail or answer.code}")
        told = answer.fields().get("result")
        if (
            answer.good
            and isinstance(told, list)
            and all(isinstance(mapping(one).get("update_id"), int) for one in told)
        ):
            return told
        if answer.status == 409:
            raise ProviderError(
                "Telegram brings updates to a webhook, or to another daemon", remedy="See deleteWebhook."
            )
        raise ProviderError(f"Telegram cannot be asked: {answer.status}", remedy="Look at bot_token.")


def read(update: Mapping[str, Any], now: datetime) -> ProviderEvent:
    """What one update tells; `other` where it is not understood, as Telegram would bring it again and again.

    Raises ValueError, KeyError, TypeError, AttributeError where it is no update at all.
    """
    kind, told = next(((name, one) for name, one in update.items() if name != "update_id"), ("", {}))
    number = update["update_id"]
    other = ProviderEvent(name=EventName.OTHER, at=now, dedupe=f"update:{number}", detail={"update": storable(kind)})
    try:
        return _READ[kind](told, now) if kind in _READ else other
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
        return other


def _message(told: Mapping[str, Any], now: datetime) -> ProviderEvent:
    """What somebody wrote to the bot: a reply, a command, or a start by a link; or a comment under a post of the channel's."""
    chat, at = told["chat"], _at(told, now)
    answered = mapping(told.get("reply_to_message"))
    event = ProviderEvent(name=EventName.OTHER, at=at, dedupe=f"message:{place(told)}")
    text = storable(told.get("text") or told.get("caption"))
    if chat["type"] == "private":
        command, _, invitation = text.partition(" ")
        started = command == "/start" and bool(invitation)
        return ProviderEvent(
            name=EventName.OPTED_IN if started else EventName.REPLIED,
            at=at,
            dedupe=event.dedupe,
            provider_message_id=place({"chat": chat, **answered}) if answered else None,
            address=str(int(chat["id"])),
            text=text,
            invitation=invitation.strip() if started else "",
        )
    post = mapping(answered.get("forward_origin"))
    if answered.get("is_automatic_forward") is True and post.get("type") == "channel":
        return ProviderEvent(
            name=EventName.REPLIED, at=at, dedupe=event.dedupe, provider_message_id=place(post), text=text
        )
    return event


def _reaction(told: Mapping[str, Any], now: datetime) -> ProviderEvent:
    """A reaction to a message of ours, or of somebody in a group; taken back, it is kept as `other`. Whoever does not hide is told
    by the number that their private chat with the bot has, too.
    """
    about, who = place(told), told.get("user") or told.get("actor_chat")
    said = " ".join(storable(one.get("emoji") or one.get("type")) for one in told["new_reaction"])
    private = told["chat"].get("type") == "private"
    whose = told["chat"]["id"] if private else mapping(told.get("user")).get("id")
    return ProviderEvent(
        name=EventName.REACTED if said else EventName.OTHER,
        at=_at(told, now),
        dedupe=f"reaction:{about}:{place({'chat': who, 'message_id': told['date']})}:{said}",
        provider_message_id=about,
        address=str(int(whose)) if whose is not None else None,
        detail={"reaction": said} if said else {},
    )


def _reactions(told: Mapping[str, Any], now: datetime) -> ProviderEvent:
    """How many reactions a post in a channel has so far; whose they are, nobody is told there."""
    return ProviderEvent(
        name=EventName.COUNTED,
        at=_at(told, now),
        dedupe=f"reactions:{place(told)}:{told['date']}",
        provider_message_id=place(told),
        detail={"likes": sum(int(one["total_count"]) for one in told["reactions"])},
    )


def _membership(told: Mapping[str, Any], now: datetime) -> ProviderEvent:
    """Somebody blocked the bot, which is a no; to lift the block is not yet a yes."""
    chat, status = told["chat"], storable(told["new_chat_member"]["status"])
    blocked = chat["type"] == "private" and status == "kicked"
    return ProviderEvent(
        name=EventName.OPTED_OUT if blocked else EventName.OTHER,
        at=_at(told, now),
        dedupe=f"member:{place({'chat': chat, 'message_id': told['date']})}:{status}",
        address=str(int(chat["id"])) if blocked else None,
        suppress=SuppressionReason.OPTED_OUT if blocked else None,
        detail={"status": status},
    )


_READ: Mapping[str, Callable[[Mapping[str, Any], datetime], ProviderEvent]] = {
    "message": _message,
    "message_reaction": _reaction,
    "message_reaction_count": _reactions,
    "my_chat_member": _membership,
}


def place(message: Any) -> str | None:
    """A message's own id. Its number counts within its chat, whose own is somebody's address, and stands here as a hash."""
    chat, number = mapping(mapping(message).get("chat")).get("id"), mapping(message).get("message_id")
    if not isinstance(chat, int) or not isinstance(number, int):
        return None
    return f"{blake2b(str(chat).encode(), digest_size=8).hexdigest()}:{number}"


def _at(told: Mapping[str, Any], now: datetime) -> datetime:
    return datetime.fromtimestamp(int(told.get("date") or now.timestamp()), UTC)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

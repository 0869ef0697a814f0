"""Telegram's Bot API as one bot sees it: people who started it, blocked it or are gone, a channel, and their updates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

from engine.provider import Webhook
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

LONGEST = 4096
CHANNEL, CHANNEL_ID = "@examplerecords", -1001234567890


class TelegramVendor(HttpVendor):
    """forbidden: by chat, the words of its 403. strangers: chats that do not exist. webhook: what getWebhookInfo tells.

    A message's id is taken down as we keep it: with a hash in place of the chat's number, which is an address.
    """

    def __init__(
        self,
        *,
        token: str = "110201543:token-for-tests",  # noqa: S107
        secret: str = "secret-for-tests",  # noqa: S107
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._token, self._secret = token, secret
        self._numbers: Counter[int] = Counter()
        self.forbidden: dict[int, str] = {}
        self.strangers: set[int] = set()
        self.webhook: dict[str, Any] = {"url": ""}
        self.updates = 0
        self._waiting: list[dict[str, Any]] = []

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        place, _, method = request.path.removeprefix("/").partition("/")
        if place != f"bot{self._token}":
            return _no(401, "Unauthorized"), None
        if method == "getMe":
            return _yes({"id": 110201543, "is_bot": True, "username": "examplerecordsbot"}), None
        if method == "getWebhookInfo":
            return _yes(self.webhook), None
        if method == "getUpdates":
            return self._tell(request.json()), None
        if method != "sendMessage":
            return _no(404, "Not Found"), None
        return self._send(request.json(), request)

    def _tell(self, asked: Mapping[str, Any]) -> Reply:
        """The updates from `offset` on; those before it are confirmed by that."""
        if self.webhook.get("url"):
            return _no(409, "Conflict: can't use getUpdates method while webhook is active")
        self._waiting = [one for one in self._waiting if one["update_id"] >= asked.get("offset", 0)]
        told = [one for one in self._waiting if set(one) & set(asked["allowed_updates"])]
        return Reply(status=200, body={"ok": True, "result": told[: asked.get("limit", 100)]})

    def _send(self, told: Mapping[str, Any], request: Request) -> tuple[Reply, Received | None]:
        chat, text = told["chat_id"], str(told.get("text", ""))
        number = CHANNEL_ID if chat == CHANNEL else chat if isinstance(chat, int) else None
        if number is None or number in self.strangers:
            return _no(400, "Bad Request: chat not found"), None
        if number in self.forbidden:
            return _no(403, f"Forbidden: {self.forbidden[number]}"), None
        if not text.strip():
            return _no(400, "Bad Request: message text is empty"), None
        if len(text) > LONGEST:
            return _no(400, "Bad Request: message is too long"), None
        self._numbers[number] += 1
        message = {"message_id": self._numbers[number], "chat": {"id": number}, "date": 1, "text": text}
        received = Received(
            key=None,
            to=str(number) if number > 0 else None,
            sender=chat if isinstance(chat, str) else "",
            text=text,
            provider_message_id=f"{blake2b(str(number).encode(), digest_size=8).hexdigest()}:{self._numbers[number]}",
            request=request,
            at=self.clock(),
        )
        return _yes(message), received

    def update(self, url: str, kind: str, told: Mapping[str, Any]) -> Webhook:
        """One update, shown with the secret; `told` is its one field besides the number."""
        self.updates += 1
        update = {"update_id": 10_000 + self.updates, kind: dict(told)}
        self._waiting.append(update)
        body = json.dumps(update).encode()
        headers = {"content-type": "application/json", "x-telegram-bot-api-secret-token": self._secret}
        return Webhook(method="POST", url=url, headers=headers, body=body)

    def says(self, url: str, chat: int, text: str, *, at: datetime, **more: Any) -> Webhook:
        """Somebody writes to the bot."""
        self._numbers[chat] += 1
        who, where = {"id": chat, "is_bot": False, "first_name": "Ana"}, {"id": chat, "type": "private"}
        told = {"message_id": self._numbers[chat], "from": who, "chat": where, "date": int(at.timestamp())}
        return self.update(url, "message", {**told, "text": text, **more})

    def reacts(self, url: str, chat: int, number: int, *emoji: str, at: datetime) -> Webhook:
        """Somebody reacts to a message of the bot's; without emoji, takes it back."""
        new = [{"type": "emoji", "emoji": one} for one in emoji]
        told = {"chat": {"id": chat, "type": "private"}, "message_id": number, "user": {"id": chat}}
        return self.update(
            url, "message_reaction", {**told, "date": int(at.timestamp()), "old_reaction": [], "new_reaction": new}
        )

    def counts(self, url: str, number: int, *counts: int, at: datetime) -> Webhook:
        """A post in the channel has so many reactions of each kind."""
        kinds = [{"type": {"type": "emoji", "emoji": "👍"}, "total_count": count} for count in counts]
        told = {"chat": {"id": CHANNEL_ID, "type": "channel"}, "message_id": number, "date": int(at.timestamp())}
        return self.update(url, "message_reaction_count", {**told, "reactions": kinds})

    def blocks(self, url: str, chat: int, *, at: datetime, status: str = "kicked") -> Webhook:
        """Somebody blocks the bot, or lifts that (`member`)."""
        told = {"chat": {"id": chat, "type": "private"}, "from": {"id": chat}, "date": int(at.timestamp())}
        bot = {"user": {"id": 110201543, "is_bot": True}}
        old, new = {**bot, "status": "member"}, {**bot, "status": status, "until_date": 0}
        return self.update(url, "my_chat_member", {**told, "old_chat_member": old, "new_chat_member": new})


def _yes(result: Mapping[str, Any]) -> Reply:
    return Reply(status=200, body={"ok": True, "result": dict(result)})


def _no(status: int, description: str) -> Reply:
    return Reply(status=status, body={"ok": False, "error_code": status, "description": description})

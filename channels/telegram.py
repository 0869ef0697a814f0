"""Messages by a Telegram bot: to people who started it, and posts in a channel; what they write and how they react, back.

Telegram remembers no key, echoes none, and cannot be asked what a bot has sent: a lost answer stays in doubt.

https://core.telegram.org/bots/api
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from pydantic import Field

from engine.errors import ForgedWebhook, IntakeError, SecretMissing
from engine.model import Channel, EventName, SuppressionReason
from engine.provider import (
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    ProviderSettings,
    Rejected,
    SecretRef,
    Verified,
    Webhook,
    outcome_of_status,
    storable,
    verified,
)

_S = SuppressionReason
SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105
UPDATES = frozenset({"message", "message_reaction", "my_chat_member"})
"""What the webhook should be set to bring: `message_reaction` comes only where it is asked for by name."""
_CHAT = re.compile(r"^[1-9]\d{0,18}\Z", re.ASCII)
_TOKEN = re.compile(r"^\d+:[\w-]+\Z", re.ASCII)
LONGEST = 4096  # characters
_LONGEST_WAIT = timedelta(hours=1)

REFUSALS: Mapping[str, tuple[str, SuppressionReason | None]] = {
    "bot was blocked by the user": ("blocked", _S.OPTED_OUT),  # a START ends it, as it ends a STOP
    "user is deactivated": ("deactivated", _S.BOUNCED),
    "bot can't initiate conversation with a user": ("not_started", None),
    "bot can't send messages to bots": ("bot", _S.BOUNCED),
}
"""What Telegram says with a 403 about the one recipient, our word for it, and what follows for the address. Every other
403 is about our own rights, as in a channel that the bot may not post in.
"""


class TelegramSettings(ProviderSettings):
    """bot_token: from @BotFather. webhook_secret: the `secret_token` that the webhook was set with; without it no update is
    believed. base_url: a Bot API server of one's own.
    """

    bot_token: SecretRef
    webhook_secret: SecretRef | None = None
    base_url: str = Field(default="https://api.telegram.org", pattern=r"^https?://[^\s]+$")


class Telegram(Provider):
    Settings = TelegramSettings
    settings: TelegramSettings
    capabilities = Capabilities(channel=Channel.TELEGRAM, posts=True, direct=True, webhooks=True, longest_text=LONGEST)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        if outgoing.to is not None and not _CHAT.match(outgoing.to):
            return Rejected(code="unsendable", detail="this is not the number of a chat")
        chat: int | str = int(outgoing.to) if outgoing.to is not None else storable(outgoing.sender)
        answer = self._call("sendMessage", {"chat_id": chat, "text": storable(outgoing.content.text)}, deadline)
        if not isinstance(answer, Answer):
            return answer
        fields = answer.fields()
        if answer.good:
            if fields.get("ok") is False:
                return Ambiguous(code=storable(fields.get("error_code")) or "unreadable")
            return Accepted(provider_message_id=_place(fields.get("result")))
        return self._refusal(answer, fields, outgoing)

    def verify(self, *, deadline: float) -> Verified:
        """The token, and where updates are believed, that the webhook is set to bring them."""
        answer = self._call("getMe", {}, deadline)
        known = verified(answer, "the bot is known")
        if not known.good or self.settings.webhook_secret is None:
            return known
        answer = self._call("getWebhookInfo", {}, deadline)
        told = answer.fields().get("result") if isinstance(answer, Answer) and answer.good else None
        if not isinstance(told, dict) or not told.get("url"):
            return Verified(good=False, detail="the bot is known, and no webhook is set (setWebhook)")
        missing = UPDATES - set(map(str, told.get("allowed_updates") or ["message", "my_chat_member"]))
        if missing:
            return Verified(
                good=False, detail=f"the webhook does not bring {', '.join(sorted(missing))} (allowed_updates)"
            )
        return Verified(good=True, detail="the bot is known, its webhook is set")

    def _call(self, method: str, body: Mapping[str, Any], deadline: float) -> Answer | NotSent | Ambiguous:
        try:
            token = self.settings.bot_token.reveal()
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        if not _TOKEN.match(token):  # it becomes part of a path
            return NotSent(code="set_up", detail=f"{self.settings.bot_token.variable} is no bot's token")
        return self.http.call(
            "POST",
            f"{self.settings.base_url.rstrip('/')}/bot{token}/{method}",
            deadline=deadline,
            headers={"Content-Type": "application/json"},
            body=json.dumps(body).encode(),
        )

    def _refusal(self, answer: Answer, fields: Mapping[str, Any], outgoing: Outgoing) -> Outcome:
        words = self.words(fields.get("description"), outgoing)
        if answer.status == 403:
            for said, (code, suppress) in REFUSALS.items():
                if said in words:
                    return Rejected(code=code, detail=words, suppress=suppress)
        outcome = outcome_of_status(answer, detail=words)
        wait = _dict(fields.get("parameters")).get("retry_after")
        if isinstance(outcome, NotSent) and answer.status == 429 and isinstance(wait, int) and wait > 0:
            return NotSent(code=outcome.code, detail=words, retry_after=min(timedelta(seconds=wait), _LONGEST_WAIT))
        return outcome

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        """Telegram signs nothing: it shows the secret that the webhook was set with."""
        if self.settings.webhook_secret is None:
            raise ForgedWebhook("no webhook_secret is set, so nothing can prove that this came from Telegram")
        given = webhook.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(given.encode(), self.settings.webhook_secret.reveal().encode()):
            raise ForgedWebhook("the secret token is not the one that the webhook was set with")
        try:
            update = json.loads(webhook.body)
            kind, told = next(((name, one) for name, one in update.items() if name != "update_id"), ("", {}))
            other = _other(update, kind, now)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise IntakeError("an update of Telegram's cannot be read") from error
        try:
            return [_READ[kind](told, now) if kind in _READ else other]
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
            return [other]  # Telegram would bring it again and again


# ---------------------------------------------------------------- updates


def _message(told: Mapping[str, Any], now: datetime) -> ProviderEvent:
    """What somebody wrote to the bot: a reply, a command, or a start by a link; or a comment under a post of the channel's."""
    chat, at = told["chat"], _at(told, now)
    answered = _dict(told.get("reply_to_message"))
    event = ProviderEvent(name=EventName.OTHER, at=at, dedupe=f"message:{_place(told)}")
    text = storable(told.get("text") or told.get("caption"))
    if chat["type"] == "private":
        command, _, invitation = text.partition(" ")
        started = command == "/start" and bool(invitation)
        return ProviderEvent(
            name=EventName.OPTED_IN if started else EventName.REPLIED,
            at=at,
            dedupe=event.dedupe,
            provider_message_id=_place({"chat": chat, **answered}) if answered else None,
            address=str(int(chat["id"])),
            text=text,
            invitation=invitation.strip() if started else "",
        )
    post = _dict(answered.get("forward_origin"))
    if answered.get("is_automatic_forward") is True and post.get("type") == "channel":
        return ProviderEvent(
            name=EventName.REPLIED, at=at, dedupe=event.dedupe, provider_message_id=_place(post), text=text
        )
    return event


def _reaction(told: Mapping[str, Any], now: datetime) -> ProviderEvent:
    """A reaction to a message of ours; taken back, it is kept as `other`."""
    place, who = _place(told), told.get("user") or told.get("actor_chat")
    said = " ".join(storable(one.get("emoji") or one.get("type")) for one in told["new_reaction"])
    private = told["chat"].get("type") == "private"
    return ProviderEvent(
        name=EventName.REACTED if said else EventName.OTHER,
        at=_at(told, now),
        dedupe=f"reaction:{place}:{_place({'chat': who, 'message_id': told['date']})}:{said}",
        provider_message_id=place,
        address=str(int(told["chat"]["id"])) if private else None,
        detail={"reaction": said} if said else {},
    )


def _membership(told: Mapping[str, Any], now: datetime) -> ProviderEvent:
    """Somebody blocked the bot, which is a no; to lift the block is not yet a yes."""
    chat, status = told["chat"], storable(told["new_chat_member"]["status"])
    blocked = chat["type"] == "private" and status == "kicked"
    return ProviderEvent(
        name=EventName.OPTED_OUT if blocked else EventName.OTHER,
        at=_at(told, now),
        dedupe=f"member:{_place({'chat': chat, 'message_id': told['date']})}:{status}",
        address=str(int(chat["id"])) if blocked else None,
        suppress=_S.OPTED_OUT if blocked else None,
        detail={"status": status},
    )


def _other(update: Mapping[str, Any], kind: str, now: datetime) -> ProviderEvent:
    return ProviderEvent(
        name=EventName.OTHER, at=now, dedupe=f"update:{update['update_id']}", detail={"update": storable(kind)}
    )


_READ = {"message": _message, "message_reaction": _reaction, "my_chat_member": _membership}


def _place(message: Any) -> str | None:
    """A message's own id. Its number counts within its chat, whose own is somebody's address, and stands here as a hash."""
    chat, number = _dict(_dict(message).get("chat")).get("id"), _dict(message).get("message_id")
    if not isinstance(chat, int) or not isinstance(number, int):
        return None
    return f"{blake2b(str(chat).encode(), digest_size=8).hexdigest()}:{number}"


def _at(told: Mapping[str, Any], now: datetime) -> datetime:
    return datetime.fromtimestamp(int(told.get("date") or now.timestamp()), UTC)


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

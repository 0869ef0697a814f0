"""Messages by a Telegram bot: to people who started it, and posts in a channel; what they write and how they react, back.

`updates` reads what comes back, by a webhook or asked for. Telegram remembers no key, echoes none, and cannot be asked what a bot has sent: a lost answer stays in doubt.

https://core.telegram.org/bots/api
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from channels.telegram.updates import UPDATES, Updates, mapping, place, read
from engine.errors import ForgedWebhook, IntakeError, SecretMissing
from engine.model import Channel, SuppressionReason
from engine.provider import (
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    Http,
    Inbox,
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

NO_RIGHTS: Mapping[int, Sequence[str]] = {
    400: (
        "need administrator rights in the channel chat",
        "not enough rights to send text messages to the chat",
        "chat not found",
    ),
    403: ("bot is not a member of the channel chat", "bot was kicked from the channel chat"),
}
"""What Telegram says about a channel that we cannot post in: that we lack a right there, or have named none. Of a person's chat they
are about the person.
"""


class TelegramSettings(ProviderSettings):
    """bot_token: from @BotFather. webhook_secret: the `secret_token` that the webhook was set with; without it no update is
    believed. poll: updates are asked for, where Telegram cannot call. base_url: a Bot API server of one's own.
    """

    bot_token: SecretRef
    webhook_secret: SecretRef | None = None
    poll: bool = False
    base_url: str = Field(default="https://api.telegram.org", pattern=r"^https?://[^\s]+$")


class Telegram(Provider):
    Settings = TelegramSettings
    settings: TelegramSettings
    capabilities = Capabilities(channel=Channel.TELEGRAM, posts=True, direct=True, webhooks=True, longest_text=LONGEST)

    def __init__(self, settings: TelegramSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self._updates = Updates(self._call)
        if settings.poll:
            self.capabilities = replace(type(self).capabilities, webhooks=False, inboxes=True)

    @property
    def inboxes(self) -> Sequence[Inbox]:
        return (self._updates,) if self.settings.poll else ()

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
            return Accepted(provider_message_id=place(fields.get("result")))
        return self._refusal(answer, fields, outgoing)

    def verify(self, *, deadline: float) -> Verified:
        """The token, and where updates are believed, that the webhook is set to bring them."""
        answer = self._call("getMe", {}, deadline)
        known = verified(answer, "the bot is known")
        if not known.good or (self.settings.webhook_secret is None and not self.settings.poll):
            return known
        answer = self._call("getWebhookInfo", {}, deadline)
        told = mapping(answer.fields().get("result")) if isinstance(answer, Answer) and answer.good else {}
        if self.settings.poll:
            if told.get("url"):
                return Verified(good=False, detail="a webhook is set, so nothing can be asked for (deleteWebhook)")
            return Verified(good=True, detail="the bot is known, its updates are asked for")
        if not told.get("url"):
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
        if outgoing.to is None and any(said in words for said in NO_RIGHTS.get(answer.status, ())):
            return NotSent(code=outcome.code, detail=words, no_access=True)
        wait = mapping(fields.get("parameters")).get("retry_after")
        if isinstance(outcome, NotSent) and answer.status == 429 and isinstance(wait, int) and wait >= 0:
            return NotSent(code=outcome.code, detail=words, retry_after=min(timedelta(seconds=wait), _LONGEST_WAIT))
        return outcome

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        """Telegram signs nothing: it shows the secret that the webhook was set with."""
        if self.settings.webhook_secret is None or self.settings.poll:
            raise ForgedWebhook("no webhook_secret is set, so nothing can prove that this came from Telegram")
        given = webhook.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(given.encode(), self.settings.webhook_secret.reveal().encode()):
            raise ForgedWebhook("the secret token is not the one that the webhook was set with")
        try:
            return [read(json.loads(webhook.body), now)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise IntakeError("an update of Telegram's cannot be read") from error

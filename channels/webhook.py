"""Messages handed to a webhook of one's own, signed as Standard Webhooks has it; its reports come back signed alike.

Whatever takes an HTTP request can be a channel so: an app's push service, a chat, a printer, a gateway for texts.
docs/channels.md has what is sent, what the answers mean, and what may be reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field, field_validator

from channels import standard_webhooks
from engine.errors import ForgedWebhook, IntakeError, ProviderError, SecretMissing
from engine.model import POSTS, Channel, EventName, SuppressionReason
from engine.provider import (
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    EmailContent,
    Http,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    ProviderSettings,
    Rejected,
    Secret,
    SecretRef,
    TextOrSecret,
    Verified,
    Webhook,
    counted,
    outcome_of_status,
    reveal,
    storable,
    verified,
    without_personal,
)

_ADDRESS = re.compile(r"^https?://\S+\Z")
SEND, PING = "message.send", "ping"
WORDS: Mapping[str, EventName] = {f"message.{name}": name for name in EventName if name is not EventName.OTHER}
"""A report's type in our words; every other one is kept as `other`."""

COUNTS = ("likes", "shares", "replies", "clicks", "views")
"""How a post fared so far, in a report of the type `message.counted`."""


class WebhookSettings(ProviderSettings):
    """url: where messages are posted; in the environment, where it is a secret itself. signing_secrets: sign them, each with a signature of its own: while a key is
    changed there are two. report_secrets: sign what the receiver reports; none, and it reports nothing.

    channel: whose messages these are. idempotent: the receiver takes a webhook-id once, and remembers it for so many
    `remembers_hours`. webhook_tolerance_seconds: how old a report's signature may be.
    """

    url: TextOrSecret
    signing_secrets: tuple[SecretRef, ...] = Field(min_length=1)
    report_secrets: tuple[SecretRef, ...] = ()
    channel: Channel = Channel.WEBHOOK
    idempotent: bool = False
    remembers_hours: float = Field(default=24, gt=0, le=24 * 365)
    webhook_tolerance_seconds: int = Field(default=300, ge=1)

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: Secret | str) -> Secret | str:
        if isinstance(url, str) and not _ADDRESS.match(url):
            raise ValueError("an address begins with https://")
        return url


class Hook(Provider):
    Settings = WebhookSettings
    settings: WebhookSettings

    def __init__(self, settings: WebhookSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        channel, email = settings.channel, settings.channel is Channel.EMAIL
        self.capabilities = Capabilities(
            channel=channel,
            idempotency_window=timedelta(hours=settings.remembers_hours) if settings.idempotent else None,
            key_suffices=settings.idempotent,
            echoes_key=bool(settings.report_secrets),
            webhooks=bool(settings.report_secrets),
            html=email,
            headers=email,
            posts=channel in POSTS,
            images=channel is Channel.SOCIAL,
            templates=channel is Channel.WHATSAPP,
        )

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        answer = self._post(outgoing.key, SEND, outgoing.at, _message(outgoing), deadline)
        if not isinstance(answer, Answer):
            return answer
        fields = answer.fields()
        if answer.good:
            return Accepted(provider_message_id=storable(fields.get("id")) or None)
        outcome = outcome_of_status(answer, detail=self.words(fields.get("error"), outgoing))
        if isinstance(outcome, Rejected):
            return Rejected(code=outcome.code, detail=outcome.detail, suppress=_suppression(fields))
        return outcome

    def verify(self, *, deadline: float) -> Verified:
        """By a signed `ping`, which a receiver answers with 2xx."""
        now = datetime.now(UTC)
        return verified(
            self._post(f"ping-{now.timestamp():.0f}", PING, now, {}, deadline), "the receiver knows our signature"
        )

    def _post(
        self, identity: str, kind: str, at: datetime, data: Mapping[str, Any], deadline: float
    ) -> Answer | NotSent | Ambiguous:
        try:
            url = reveal(self.settings.url)
            keys = [standard_webhooks.key(secret) for secret in self.settings.signing_secrets]
        except (SecretMissing, ProviderError) as error:
            return NotSent(code="set_up", detail=error.what)
        if not _ADDRESS.match(url):
            return NotSent(code="set_up", detail="what url refers to is no address")
        body = json.dumps({"type": kind, "timestamp": at.isoformat(), "data": data}).encode()
        # The time of signing is this attempt's, so that a receiver may refuse what is old.
        signed = standard_webhooks.headers(keys, identity, body, now=datetime.now(UTC))
        headers = {"Content-Type": "application/json", **signed}
        return self.http.call("POST", url, deadline=deadline, headers=headers, body=body)

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        if not self.settings.report_secrets:
            raise ForgedWebhook("no report_secrets are set, so nothing can prove who reports")
        keys = [standard_webhooks.key(secret) for secret in self.settings.report_secrets]
        tolerance = timedelta(seconds=self.settings.webhook_tolerance_seconds)
        identity = standard_webhooks.verify(webhook, keys, now=now, tolerance=tolerance)
        try:
            told = json.loads(webhook.body)
            return [_event(identity, told["type"], told.get("timestamp"), told.get("data") or {}, now)]
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise IntakeError(
                "a report is no JSON object with type, timestamp and data", remedy="docs/channels.md shows one."
            ) from error


def _message(outgoing: Outgoing) -> Mapping[str, Any]:
    """What the receiver is told. What there is none of is left out; `to` is null for a post to everybody."""
    content = outgoing.content
    told: dict[str, Any] = {
        "key": outgoing.key,
        "channel": outgoing.channel,
        "class": outgoing.message_class,
        "campaign": outgoing.campaign,
        "to": None if outgoing.to is None else storable(outgoing.to),
        "from": storable(outgoing.sender),
        "text": storable(content.text),
    }
    if isinstance(content, EmailContent):
        told |= {"subject": storable(content.subject), "headers": dict(content.headers)}
        told |= {"html": storable(content.html)} if content.html is not None else {}
    elif content.template is not None:
        told["template"] = {"name": content.template.name, "variables": dict(content.template.variables)}
    elif content.image is not None:
        told["image"] = content.image
        told |= {"image_alt": storable(content.image_alt)} if content.image_alt else {}
    if outgoing.valid_for is not None:
        told["valid_seconds"] = int(outgoing.valid_for.total_seconds())
    return told


def _suppression(fields: Mapping[str, Any]) -> SuppressionReason | None:
    """What a receiver who refuses a message says about its address."""
    try:
        return SuppressionReason(str(fields.get("suppress")))
    except ValueError:
        return None


def _event(identity: str, kind: Any, stamp: Any, data: Mapping[str, Any], now: datetime) -> ProviderEvent:
    name = WORDS.get(str(kind), EventName.OTHER)
    detail = {"type": storable(kind), "reason": without_personal(storable(data.get("reason")))}
    fared = {what: counted(data.get(what)) for what in COUNTS} if name is EventName.COUNTED else {}
    return ProviderEvent(
        name=name,
        at=_at(stamp, now),
        dedupe=storable(identity),
        message_key=storable(data.get("key")) or None,
        provider_message_id=storable(data.get("id")) or None,
        address=storable(data.get("to")) or None,
        machine=data.get("machine") is True,
        suppress=_suppression(data) if name in (EventName.BOUNCED, EventName.REJECTED) else None,
        text=storable(data.get("text")),
        detail={
            **{word: value for word, value in detail.items() if value},
            **{what: count for what, count in fared.items() if count is not None},
        },
    )


def _at(stamp: Any, now: datetime) -> datetime:
    """The receiver's own time of it, in UTC; ours where it tells none. Raises ValueError where that is no time."""
    if stamp is None:
        return now
    at = datetime.fromisoformat(str(stamp))
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)

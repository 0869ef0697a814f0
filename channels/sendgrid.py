"""Email through SendGrid: v3 mail/send out, the signed event webhook back.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import (
    Category,
    ClickTracking,
    Content,
    CustomArg,
    Email,
    From,
    Header,
    Mail,
    MailSettings,
    OpenTracking,
    SandBoxMode,
    SubscriptionTracking,
    To,
    TrackingSettings,
)
from sendgrid.helpers.mail.exceptions import ApiKeyIncludedException

from channels import mime
from engine.errors import ContentError, ForgedWebhook, IntakeError, ProviderError, SecretMissing
from engine.model import Channel, EventName, Plain, SuppressionReason
from engine.provider import (
    Accepted,
    Answer,
    Capabilities,
    EmailContent,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    ProviderSettings,
    Rejected,
    SecretRef,
    TextOrSecret,
    Webhook,
    outcome_of_status,
    reveal,
    safe_header,
    storable,
    without_personal,
)

OUR_KEY = "regulars_message"  # the custom argument that comes back, as a top-level key, on every event
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

_E, _S = EventName, SuppressionReason

WORDS: Mapping[str, EventName] = {
    "processed": _E.ACCEPTED,
    "deferred": _E.DEFERRED,
    "delivered": _E.DELIVERED,
    "bounce": _E.BOUNCED,
    "dropped": _E.REJECTED,
    "open": _E.OPENED,
    "click": _E.CLICKED,
    "spamreport": _E.COMPLAINED,
    "spam report": _E.COMPLAINED,  # one table of the documentation writes it so
    "unsubscribe": _E.OPTED_OUT,
    "group_unsubscribe": _E.OPTED_OUT,
    "group_resubscribe": _E.OPTED_IN,
}
"""SendGrid's words in ours; every other word is kept as `other`."""

DROPPED: Mapping[str, SuppressionReason] = {
    "bounced address": _S.BOUNCED,
    "invalid": _S.BOUNCED,
    "spam reporting address": _S.COMPLAINED,
    "unsubscribed address": _S.OPTED_OUT,
}
"""Why SendGrid dropped a message without trying: what is on its own suppression lists belongs on ours."""

BAD_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
KEPT = ("event", "reason", "response", "status", "type", "bounce_classification", "attempt", "url", "useragent")
"""What an event's detail keeps of SendGrid's fields, addresses struck out."""


class SendGridSettings(ProviderSettings):
    """api_key, and for the event webhook its verification key (base64, from Settings > Mail Settings).

    webhook_tolerance_seconds: how old a webhook's signature may be; 0 for any age (repeats are recognised all the same).
    tracking: let SendGrid rewrite links and count opens too; our own links do so already.
    sandbox: SendGrid checks each message and sends none.
    """

    api_key: SecretRef
    webhook_key: TextOrSecret | None = None
    webhook_tolerance_seconds: int = Field(default=300, ge=0)
    base_url: str = Field(default="https://api.sendgrid.com", pattern=r"^https?://[^\s]+$")
    tracking: bool = False
    sandbox: bool = False


class SendGrid(Provider):
    Settings = SendGridSettings
    settings: SendGridSettings
    capabilities = Capabilities(channel=Channel.EMAIL, echoes_key=True, webhooks=True, html=True, headers=True)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        try:
            body = json.dumps(self._mail(outgoing).get()).encode()
            key = self.settings.api_key.reveal()
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        except ContentError as error:
            return Rejected(code="unsendable", detail=error.what)
        except ApiKeyIncludedException:
            return Rejected(code="unsendable", detail="the content begins with an API key")
        answer = self.http.call(
            "POST",
            f"{self.settings.base_url.rstrip('/')}/v3/mail/send",
            deadline=deadline,
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            body=body,
        )
        if not isinstance(answer, Answer):
            return answer
        if answer.good:
            return Accepted(provider_message_id=answer.headers.get("x-message-id") or None)
        return outcome_of_status(_with_reset(answer), detail=self.words(_first_error(answer), outgoing))

    def _mail(self, outgoing: Outgoing) -> Mail:
        """One person a request: one lost answer then leaves one message in doubt, not a thousand."""
        content = outgoing.content
        if not isinstance(content, EmailContent):
            raise ContentError("an email needs a subject and a text")
        origin = mime.sender(outgoing.sender)
        mail = Mail(
            from_email=_named(From(), origin.address, origin.name),
            to_emails=_named(To(), mime.address(outgoing.to or ""), ""),
            subject=safe_header(content.subject),
        )
        mail.add_content(Content("text/plain", storable(content.text)))
        if content.html is not None:
            mail.add_content(Content("text/html", storable(content.html)))
        for name, value in mime.custom_headers(content).items():
            mail.add_header(Header(name, value))
        mail.add_header(Header("X-Regulars-Message", outgoing.key))
        mail.add_custom_arg(CustomArg(OUR_KEY, outgoing.key))
        mail.add_category(Category(outgoing.campaign[:255]))
        mail.tracking_settings = TrackingSettings(
            click_tracking=ClickTracking(enable=self.settings.tracking, enable_text=False),
            open_tracking=OpenTracking(enable=self.settings.tracking),
            subscription_tracking=SubscriptionTracking(enable=False),
        )
        if self.settings.sandbox:
            mail.mail_settings = MailSettings(sandbox_mode=SandBoxMode(enable=True))
        return mail

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        self._verify(webhook, now)
        try:
            body = json.loads(webhook.body)
        except (ValueError, RecursionError) as error:
            raise IntakeError("the webhook's body is not JSON") from error
        return [_event(item, now) for item in (body if isinstance(body, list) else [body])]

    def _verify(self, webhook: Webhook, now: datetime) -> None:
        """The signature stands over the timestamp and the raw body, its last CR LF included."""
        if self.settings.webhook_key is None:
            raise ForgedWebhook("no webhook_key is set, so nothing can prove that this came from SendGrid")
        stamp, signature = webhook.headers.get(TIMESTAMP, ""), webhook.headers.get(SIGNATURE, "")
        try:
            signed = base64.b64decode(signature, validate=True)
            if base64.b64encode(signed).decode() != signature:  # spare bits of base64 are no second way to write it
                raise ValueError("not canonical base64")
            _public_key(reveal(self.settings.webhook_key)).verify(
                signed, stamp.encode() + webhook.body, ec.ECDSA(hashes.SHA256())
            )
            sent_at = datetime.fromtimestamp(int(stamp), UTC)
        except (InvalidSignature, binascii.Error, ValueError, OverflowError, OSError) as error:
            raise ForgedWebhook("the signature is not SendGrid's") from error
        tolerance = timedelta(seconds=self.settings.webhook_tolerance_seconds)
        if tolerance and abs(now - sent_at) > tolerance:
            raise ForgedWebhook("the signature is too old", remedy="Check this machine's clock.")


@lru_cache(maxsize=8)
def _public_key(text: str) -> ec.EllipticCurvePublicKey:
    try:
        key = EventWebhook().convert_public_key_to_ecdsa(text.strip())
    except (ValueError, TypeError) as error:
        raise ProviderError("webhook_key is not SendGrid's verification key", remedy="Copy it anew.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ProviderError("webhook_key is not SendGrid's verification key", remedy="Copy it anew.")
    return key


def _named(box: Email, address: str, name: str) -> Email:
    """Set both by hand: given only an address, the package's constructor would parse it."""
    box.email, box.name = address, name or None
    return box


def _first_error(answer: Answer) -> str:
    errors = answer.fields().get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return str(first.get("message", "")) if isinstance(first, dict) else ""


def _with_reset(answer: Answer) -> Answer:
    """A 429 without Retry-After says in X-RateLimit-Reset when the account may go on (seconds since 1970)."""
    reset = answer.headers.get("x-ratelimit-reset", "")
    if "retry-after" in answer.headers or not (reset.isascii() and reset.isdigit()) or len(reset) > 11:
        return answer
    until = datetime.fromtimestamp(int(reset), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return Answer(status=answer.status, headers={**answer.headers, "retry-after": until}, text=answer.text)


# ---------------------------------------------------------------- the way back


def _event(item: Any, now: datetime) -> ProviderEvent:
    """One element of the array. A bad one is kept as `other`, so that it loses none of its neighbours."""
    if not isinstance(item, dict):
        digest = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()
        return ProviderEvent(name=EventName.OTHER, at=now, dedupe=digest, detail={"event": "not an object"})
    word = _str(item, "event").lower()
    name, suppress = _meaning(word, item)
    message_id = _str(item, "sg_message_id").split(".", 1)[0]  # what X-Message-Id said is the part before the first dot
    return ProviderEvent(
        name=name,
        at=_at(item.get("timestamp"), now),
        dedupe=_dedupe(item),
        message_key=_str(item, OUR_KEY) or None,
        provider_message_id=message_id or None,
        address=_str(item, "email") or None,
        machine=item.get("sg_machine_open") is True,
        suppress=suppress,
        detail=_detail(item),
    )


def _meaning(word: str, item: Mapping[str, Any]) -> tuple[EventName, SuppressionReason | None]:
    name = WORDS.get(word, EventName.OTHER)
    if name is EventName.COMPLAINED:
        return name, SuppressionReason.COMPLAINED
    if name is EventName.REJECTED:
        return name, DROPPED.get(_str(item, "reason").lower())
    if name is EventName.BOUNCED:
        return _bounce(item)
    return name, None


def _bounce(item: Mapping[str, Any]) -> tuple[EventName, SuppressionReason | None]:
    """Only a bounce that blames the address suppresses it; blocks and policy codes (5.7.x) never do."""
    status = _str(item, "status")
    if _str(item, "type").lower() == "blocked" or status.startswith("4."):
        return EventName.BOUNCED_SOFT, None
    blames = status in BAD_ADDRESS
    if not blames and not status.startswith("5.7."):
        blames = _str(item, "bounce_classification").lower() == "invalid address"
    return EventName.BOUNCED, SuppressionReason.BOUNCED if blames else None


def _dedupe(item: Mapping[str, Any]) -> str:
    """The same report hashes the same. sg_event_id is no part of it: it changes when SendGrid repeats itself."""
    fields = ("sg_message_id", OUR_KEY, "event", "timestamp", "email", "url")
    return hashlib.sha256(json.dumps([_str(item, name) for name in fields]).encode()).hexdigest()


def _at(stamp: Any, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return now


def _detail(item: Mapping[str, Any]) -> dict[str, Plain]:
    address, url = _str(item, "email"), _str(item, "url")
    detail: dict[str, Plain] = {name: without_personal(_str(item, name), address) for name in KEPT if _str(item, name)}
    if url and "@" not in url and "%40" not in url:
        detail["url"] = url[:2000]  # whole, so that the clicks of one link count together
    return detail


def _str(item: Mapping[str, Any], name: str) -> str:
    """A field as text. SendGrid's own samples begin some values with a space."""
    return storable(item.get(name)).strip()

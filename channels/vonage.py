"""Text messages through Vonage: the SMS API out, signed delivery receipts and inbound messages back.

https://developer.vonage.com/en/api/sms
https://developer.vonage.com/en/getting-started/concepts/signing-messages
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from engine.errors import ForgedWebhook, SecretMissing
from engine.model import Channel, EventName, Plain, SuppressionReason
from engine.provider import (
    A_MOMENT,
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
    TextOrSecret,
    Verified,
    Webhook,
    outcome_of_status,
    reveal,
    safe_header,
    storable,
    text_of,
    verified,
    without_personal,
)

SHORTEST, LONGEST = timedelta(seconds=20), timedelta(days=7)  # that Vonage may keep a message waiting
GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà\f^{}\\[~]|€"
)
"""What the type `text` can say (3GPP TS 23.038); Vonage replaces every other letter by a question mark."""

_E, _S = EventName, SuppressionReason

WORDS: Mapping[str, EventName] = {
    "accepted": _E.ACCEPTED,
    "unknown": _E.ACCEPTED,  # the carrier does not tell what became of it
    "buffered": _E.DEFERRED,
    "delivered": _E.DELIVERED,
    "expired": _E.BOUNCED_SOFT,
    "failed": _E.BOUNCED_SOFT,
    "deleted": _E.BOUNCED_SOFT,
    "rejected": _E.REJECTED,
}
"""A receipt's status in our words; every other one is kept as `other`."""

BAD_NUMBER: Mapping[str, SuppressionReason] = {"3": _S.BOUNCED, "9": _S.BOUNCED}
"""A receipt's error codes that blame the number itself: absent for good, or no number at all."""

REFUSALS: Mapping[str, SuppressionReason | None] = {
    "2": None,  # something is missing
    "3": None,  # something is not valid
    "6": None,  # the message is not valid
    "7": _S.PROVIDER,  # the number is barred
    "12": None,  # too long
    "33": _S.BOUNCED,  # the number was deactivated
}
"""Statuses by which Vonage refuses this message for good, and what they say about its number."""

NOT_TAKEN = frozenset({"1", "4", "8", "9", "10", "11", "14", "15", "22", "23", "29", "32"})
"""Too fast, no credit, or our account, sender or callback is wrong: nothing was taken. `5` is an internal error: doubt."""

TOO_FAST = "1"
"""Of these: too many a second."""

REFUSES_US = frozenset({"4", "8", "9", "14"})
"""Of these: unknown, barred, without credit, wrongly signed: whatever the message."""


class SignatureMethod(StrEnum):
    """How the account signs its webhooks: HMAC over this hash."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"


class VonageSettings(ProviderSettings):
    """api_key and api_secret. signature_secret: signs the webhooks, once Vonage has switched that on for the account.

    webhook_tolerance_seconds: how old a webhook's signature may be; 0 for any age (repeats are recognised all the same).
    """

    api_key: TextOrSecret
    api_secret: SecretRef
    signature_secret: SecretRef | None = None
    signature_method: SignatureMethod = SignatureMethod.SHA256
    webhook_tolerance_seconds: int = Field(default=3600, ge=0)
    base_url: str = Field(default="https://rest.nexmo.com", pattern=r"^https?://[^\s]+$")


class Vonage(Provider):
    Settings = VonageSettings
    settings: VonageSettings
    capabilities = Capabilities(channel=Channel.SMS, echoes_key=True, webhooks=True)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        try:
            account = {"api_key": reveal(self.settings.api_key), "api_secret": self.settings.api_secret.reveal()}
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        answer = self.http.call(
            "POST",
            f"{self.settings.base_url.rstrip('/')}/sms/json",
            deadline=deadline,
            body={**account, **_message(outgoing)},
        )
        if not isinstance(answer, Answer):
            return answer
        if not answer.good:
            return outcome_of_status(answer, detail=self.words(answer.fields().get("error_title"), outgoing))
        return self._outcome(answer.fields(), outgoing)

    def verify(self, *, deadline: float) -> Verified:
        """The account's balance: https://developer.vonage.com/en/api/account"""
        try:
            account = reveal(self.settings.api_key), self.settings.api_secret.reveal()
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        url = f"{self.settings.base_url.rstrip('/')}/account/get-balance"
        return verified(self.http.call("GET", url, deadline=deadline, auth=account), "the account is known")

    def _outcome(self, fields: Mapping[str, Any], outgoing: Outgoing) -> Outcome:
        """A 200 holds one status a part of the text. Where one part was taken, sending again would double it."""
        told = fields.get("messages")
        parts = [part for part in told if isinstance(part, dict)] if isinstance(told, list) else []
        taken = [part for part in parts if _str(part, "status") == "0"]
        if taken:
            detail = "" if len(taken) == len(parts) else "not every part of it was taken"
            return Accepted(provider_message_id=_str(taken[0], "message-id") or None, detail=detail)
        status = _str(parts[0], "status") if parts else ""
        detail = self.words(_str(parts[0], "error-text") if parts else "", outgoing)
        if status in NOT_TAKEN:
            wait = A_MOMENT if status == TOO_FAST else None
            return NotSent(code=status, detail=detail, retry_after=wait, no_access=status in REFUSES_US)
        if status in REFUSALS:
            return Rejected(code=status, detail=detail, suppress=REFUSALS[status])
        return Ambiguous(code=status or "unreadable", detail=detail)

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        fields = self._verified(webhook, now)
        number, status = _str(fields, "messageId"), _str(fields, "status").lower()
        at = _at(_str(fields, "message-timestamp"), now)
        address = f"+{_str(fields, 'msisdn').lstrip('+')}" if _str(fields, "msisdn") else None
        if not status:
            return [_inbound(fields, number, address, at)]
        code = _str(fields, "err-code")
        name = WORDS.get(status, EventName.OTHER)
        suppress = BAD_NUMBER.get(code) if name in (EventName.BOUNCED_SOFT, EventName.REJECTED) else None
        return [
            ProviderEvent(
                name=EventName.BOUNCED if name is EventName.BOUNCED_SOFT and suppress else name,
                at=at,
                dedupe=f"{number}:{status}:{code}",
                message_key=_str(fields, "client-ref") or None,
                provider_message_id=number or None,
                address=address,
                suppress=suppress,
                detail=_detail(status=status, error_code=code),
            )
        ]

    def _verified(self, webhook: Webhook, now: datetime) -> Mapping[str, str]:
        """The fields, in the query, a form or JSON, once their signature has proved right."""
        if self.settings.signature_secret is None:
            raise ForgedWebhook("no signature_secret is set, so nothing can prove that this came from Vonage")
        fields = _fields(webhook)
        try:
            given, sent_at = fields.pop("sig", ""), datetime.fromtimestamp(int(fields.get("timestamp", "")), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise ForgedWebhook("the signature tells no time") from error
        secret = self.settings.signature_secret.reveal()
        right = signature(fields, secret, self.settings.signature_method)
        if not hmac.compare_digest(given.lower().encode("utf-8", "replace"), right.encode()):
            raise ForgedWebhook("the signature is not Vonage's")
        tolerance = timedelta(seconds=self.settings.webhook_tolerance_seconds)
        if tolerance and abs(now - sent_at) >= tolerance:
            raise ForgedWebhook("the signature is too old", remedy="Check this machine's clock.")
        return fields


def signature(fields: Mapping[str, str], secret: str, method: str) -> str:
    """Over all fields by name, each as `&name=value`, with what separates them made harmless in the values."""
    said = "".join(f"&{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields))
    return hmac.new(secret.encode(), said.encode("utf-8", "replace"), getattr(hashlib, method)).hexdigest()


def _message(outgoing: Outgoing) -> Mapping[str, str]:
    text = text_of(outgoing)
    form = {
        "to": (outgoing.to or "").removeprefix("+"),
        "from": safe_header(outgoing.sender).removeprefix("+"),
        "text": text,
        "type": "text" if GSM_7.issuperset(text) else "unicode",
        "client-ref": outgoing.key,
    }
    if outgoing.callback_url:
        form["callback"] = outgoing.callback_url
    if outgoing.valid_for is not None:
        form["ttl"] = str(int(min(max(outgoing.valid_for, SHORTEST), LONGEST) / timedelta(milliseconds=1)))
    return form


def _fields(webhook: Webhook) -> dict[str, str]:
    try:
        text = webhook.body.decode("utf-8")
        if webhook.method == "GET":
            text = urlsplit(webhook.url).query
        if webhook.method != "GET" and "json" in webhook.headers.get("content-type", ""):
            fields = {name: str(value) for name, value in json.loads(text).items()}
        else:
            fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
        if any("&" in name or "=" in name for name in fields):  # under the signature it would read as two fields
            raise ValueError("no field of Vonage's")
    except (ValueError, RecursionError, AttributeError) as error:
        raise ForgedWebhook("the webhook cannot be read") from error
    return fields


def _inbound(fields: Mapping[str, str], number: str, address: str | None, at: datetime) -> ProviderEvent:
    """A customer's text; what is neither that nor a receipt is kept as `other`."""
    if "text" not in fields:
        digest = hashlib.sha256(json.dumps(sorted(fields.items())).encode()).hexdigest()
        return ProviderEvent(name=EventName.OTHER, at=at, dedupe=digest, detail=_detail(type=_str(fields, "type")))
    part = _str(fields, "concat").lower() == "true" and _str(fields, "concat-total") != "1"
    detail = _detail(
        part=f"{_str(fields, 'concat-part')}/{_str(fields, 'concat-total')}", ref=_str(fields, "concat-ref")
    )
    return ProviderEvent(
        name=EventName.REPLIED,
        at=at,
        dedupe=f"{number}:received",
        address=address,
        text=storable(fields["text"])
        if part
        else _str(fields, "text"),  # a part may begin and end in the middle of a word
        part=part,
        detail=detail if part else {},
    )


def _at(stamp: str, now: datetime) -> datetime:
    """Vonage's own time of it, in UTC; ours where it tells none."""
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return now
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _detail(**fields: str) -> dict[str, Plain]:
    return {name: without_personal(value) for name, value in fields.items() if value}


def _str(fields: Mapping[str, Any], name: str) -> str:
    return storable(fields.get(name)).strip()

"""Email through SendGrid: many messages in one v3 mail/send request, the signed event webhook back.

`letters` makes requests out of emails, by `substitution`; `events` reads the webhook; `logs` asks what SendGrid has.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field
from sendgrid.helpers.eventwebhook import EventWebhook

from channels import mailbox
from channels.sendgrid import events, letters, logs
from channels.sendgrid.letters import Letter
from engine.errors import ContentError, ForgedWebhook, IntakeError, NoPlainAnswer, ProviderError, SecretMissing
from engine.model import Channel
from engine.provider import (
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    Finding,
    MailRecords,
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
    verified,
)

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

SELECTORS = ("s1", "s2")
"""Of its DKIM keys, unless somebody chose others."""

Ended = tuple[Outgoing, Outcome]


class SendGridSettings(ProviderSettings):
    """api_key, and for the event webhook its verification key (base64, from Settings > Mail Settings).

    webhook_tolerance_seconds: how old a webhook's signature may be; 0 for any age (repeats are recognised all the same).
    tracking: let SendGrid rewrite links and count opens too; our own links do so already.
    sandbox: SendGrid checks each message and sends none.
    messages_per_request: messages of one campaign that may share a request, and so how many one lost answer leaves in
    doubt. connections: requests on their way at once, over all sender threads.
    """

    connections: int = Field(default=4, ge=1, le=200)
    messages_per_request: int = Field(default=100, ge=1, le=letters.MOST)

    api_key: SecretRef
    webhook_key: TextOrSecret | None = None
    webhook_tolerance_seconds: int = Field(default=300, ge=0)
    base_url: str = Field(default="https://api.sendgrid.com", pattern=r"^https?://[^\s]+$")
    tracking: bool = False
    sandbox: bool = False


class SendGrid(Provider):
    Settings = SendGridSettings
    settings: SendGridSettings
    capabilities = Capabilities(
        channel=Channel.EMAIL,
        settle_time=timedelta(minutes=15),  # "near real time", which is no promise
        key_suffices=True,
        echoes_key=True,
        webhooks=True,
        html=True,
        headers=True,
    )

    @property
    def batch_limit(self) -> int:
        return self.settings.messages_per_request

    @property
    def in_flight_limit(self) -> int:
        return self.settings.messages_per_request * self.settings.connections

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        try:
            letter = letters.letter(outgoing)
        except ContentError as error:
            return Rejected(code="unsendable", detail=error.what)
        return self._post([letter], deadline)[0][1]

    def send_many(self, batch: Sequence[Outgoing], *, deadline: float) -> Iterator[Ended | None]:
        """One request for all messages of one form; what is alone in its form goes alone."""
        requests: dict[tuple[object, ...], list[Letter]] = {}
        seen: Counter[str] = Counter()
        for outgoing in batch:
            try:
                letter = letters.letter(outgoing)
            except ContentError as error:
                yield outgoing, Rejected(code="unsendable", detail=error.what)
                continue
            seen[letter.to] += 1  # an address comes once in a request
            requests.setdefault((seen[letter.to], *letter.form), []).append(letter)
        calls = [partial(self._post, alike, deadline) for alike in requests.values()]
        if len(calls) == 1:
            yield from calls[0]()
            return
        for ended in self.at_once(calls):
            yield from [None] if ended is None else ended

    def _post(self, alike: Sequence[Letter], deadline: float) -> list[Ended]:
        """One request with these letters, which are of one form; more than one where that is more than SendGrid takes.

        SendGrid takes a request whole or not at all. One that it refuses is sent again in two, until each letter is refused
        or taken for its own sake.
        """
        bundle = letters.bundle(alike)
        if long := bundle.too_long():
            return self._in_parts([[each] for each in long] + [[each for each in alike if each not in long]], deadline)
        try:
            key = self.settings.api_key.reveal()
        except SecretMissing as error:
            return [(each.outgoing, NotSent(code="set_up", detail=error.what)) for each in alike]
        answer = self.http.call(
            "POST",
            self._url("/v3/mail/send"),
            deadline=deadline,
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            body=bundle.body(tracking=self.settings.tracking, sandbox=self.settings.sandbox),
        )
        if isinstance(answer, Answer) and isinstance(outcome_of_status(answer), Rejected) and len(alike) > 1:
            return self._in_parts([alike[::2], alike[1::2]], deadline)
        return [(each.outgoing, self._outcome(answer, each.outgoing)) for each in alike]

    def _in_parts(self, parts: Sequence[Sequence[Letter]], deadline: float) -> list[Ended]:
        return [ended for part in parts if part for ended in self._post(part, deadline)]

    def _outcome(self, answer: Answer | NotSent | Ambiguous, outgoing: Outgoing) -> Outcome:
        if not isinstance(answer, Answer):
            return answer
        if answer.good:
            return Accepted(provider_message_id=answer.headers.get("x-message-id") or None)
        return outcome_of_status(answer, detail=self.words(_first_error(answer), outgoing), reset="x-ratelimit-reset")

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """The API key needs the right to read Email Logs besides that to send."""

        def ask(method: str, path: str, body: bytes | None) -> Any:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            return self.http.ask(method, self._url(path), deadline=deadline, headers=headers, body=body)

        try:
            key = self.settings.api_key.reveal()
            return logs.find(letters.letter(outgoing), ask)
        except (SecretMissing, ContentError) as error:
            return Ambiguous(code="set_up", detail=error.what)
        except NoPlainAnswer as error:
            return Ambiguous(code=error.what)

    def verify(self, *, deadline: float) -> Verified:
        """The rights of the key: https://www.twilio.com/docs/sendgrid/api-reference/api-key-permissions"""
        try:
            headers = {"Authorization": f"Bearer {self.settings.api_key.reveal()}"}
        except SecretMissing as error:
            return Verified(good=False, detail=error.what)
        answer = self.http.call("GET", self._url("/v3/scopes"), deadline=deadline, headers=headers)
        rights = answer.fields().get("scopes") if isinstance(answer, Answer) and answer.good else None
        if isinstance(rights, list) and "mail.send" not in rights:
            return Verified(good=False, detail="the key lacks the right to send (mail.send)")
        return verified(answer, "the key may send")

    def mail_records(self, sender: str) -> MailRecords:
        """As its domain authentication sets them up; the envelope is under a domain of SendGrid's choice."""
        domain = mailbox.sender(sender).domain
        return MailRecords(domain=domain, dkim={f"{selector}._domainkey.{domain}": None for selector in SELECTORS})

    def _url(self, path: str) -> str:
        return self.settings.base_url.rstrip("/") + path

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        self._verify(webhook, now)
        try:
            body = json.loads(webhook.body)
        except (ValueError, RecursionError) as error:
            raise IntakeError("the webhook's body is not JSON") from error
        return [events.event(item, now) for item in (body if isinstance(body, list) else [body])]

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


def _first_error(answer: Answer) -> str:
    errors = answer.fields().get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return str(first.get("message", "")) if isinstance(first, dict) else ""

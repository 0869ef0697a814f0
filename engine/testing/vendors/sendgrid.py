"""A SendGrid of one's own: takes v3/mail/send, and posts events signed with its own key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.provider import Webhook
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

OUR_KEY = "regulars_message"


class SendGridVendor(HttpVendor):
    """`refuse` names the addresses that it finds invalid. `public_key` is what Mail Settings would show."""

    def __init__(
        self,
        *,
        api_key: str = "SG.for-tests",
        refuse: Callable[[str], bool] | None = None,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._api_key, self._refuse = api_key, refuse
        self._signing = ec.generate_private_key(ec.SECP256R1())
        der = self._signing.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key = base64.b64encode(der).decode()

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if request.headers.get("authorization") != f"Bearer {self._api_key}":
            return _error(401, "The provided authorization grant is invalid, expired, or revoked"), None
        if (request.method, request.path) != ("POST", "/v3/mail/send"):
            return _error(404, "Not Found"), None
        try:
            mail = request.json()
            to = mail["personalizations"][0]["to"][0]["email"]
            parts = {part["type"]: part["value"] for part in mail["content"]}
            origin, subject = mail["from"], mail["subject"]
        except (ValueError, KeyError, IndexError, TypeError):
            return _error(400, "Bad Request"), None
        if self._refuse and self._refuse(to):
            return _error(400, f"{to} does not contain a valid address.", field="personalizations.0.to.0.email"), None
        name = f"{origin['name']} <{origin['email']}>" if "name" in origin else origin["email"]
        number = f"m{len(self.accepted):021d}"
        received = Received(
            key=mail.get("custom_args", {}).get(OUR_KEY),
            to=to,
            sender=name,
            subject=subject,
            text=parts.get("text/plain", ""),
            html=parts.get("text/html"),
            headers=mail.get("headers", {}),
            provider_message_id=number,
            request=request,
        )
        return Reply(status=202, headers={"X-Message-Id": number}), received

    def event(self, received: Received, word: str, *, at: datetime, **more: Any) -> dict[str, Any]:
        """One event about a message, with the fields that SendGrid puts there; `more` adds or replaces some."""
        plain = {
            "email": received.to,
            "timestamp": int(at.timestamp()),
            "event": word,
            "smtp-id": f"<{received.provider_message_id}@ismtpd>",
            "sg_event_id": base64.urlsafe_b64encode(f"{word}-{received.provider_message_id}".encode()).decode(),
            "sg_message_id": f"{received.provider_message_id}.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
        }
        echoed = {OUR_KEY: received.key} if received.key else {}
        return {**plain, **echoed, **more}

    def webhook(self, url: str, events: Sequence[Mapping[str, Any]] | bytes, *, now: datetime) -> Webhook:
        """The signed request with these events: the signature stands over the timestamp and the raw body, CR LF included."""
        body = events if isinstance(events, bytes) else json.dumps(list(events)).encode() + b"\r\n"
        stamp = str(int(now.timestamp()))
        signature = self._signing.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "content-type": "application/json",
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": stamp,
        }
        return Webhook(method="POST", url=url, headers=headers, body=body)


def _error(status: int, message: str, *, field: str | None = None) -> Reply:
    return Reply(status=status, body={"errors": [{"message": message, "field": field, "help": None}]})

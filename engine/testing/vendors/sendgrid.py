"""A SendGrid of one's own: takes v3/mail/send, and posts events signed with its own key."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any
from urllib.parse import unquote

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.provider import Webhook
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

OUR_KEY = "regulars_message"
_QUERY = re.compile(r'^to_email = "(?P<to>[^"]*)" AND sg_message_id_created_at >= TIMESTAMP "(?P<since>[^"]*)"$')


class SendGridVendor(HttpVendor):
    """`refuse` names the addresses that it finds invalid. `public_key` is what Mail Settings would show.

    A request is taken whole or not at all. All its messages share one X-Message-Id, to which their events add a place.
    statuses: what the log tells of a message, by our key: a status and a reason. hides_keys: the log has no custom arguments.
    scopes: the key's rights.
    """

    def __init__(
        self,
        *,
        api_key: str = "SG.for-tests",
        refuse: Callable[[str], bool] | None = None,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._api_key, self._refuse = api_key, refuse
        self._numbers = count()
        self.statuses: dict[str, tuple[str, str]] = {}
        self.hides_keys = False
        self.scopes = ["mail.send", "email_activity.read"]
        self._signing = ec.generate_private_key(ec.SECP256R1())
        der = self._signing.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key = base64.b64encode(der).decode()

    @staticmethod
    def keys_in(request: Request) -> list[str]:
        """Our keys of the messages in a request, for those who let it misbehave. Raises ValueError where it is no mail/send."""
        if not request.path.endswith("/mail/send"):
            raise ValueError(f"{request.path} sends nothing")
        return [one["custom_args"][OUR_KEY] for one in request.json()["personalizations"]]

    def take(self, request: Request) -> tuple[Reply, Sequence[Received]]:
        if request.headers.get("authorization") != f"Bearer {self._api_key}":
            return _error(401, "The provided authorization grant is invalid, expired, or revoked"), []
        if request.path == "/v3/scopes":
            return Reply(status=200, body={"scopes": self.scopes}), []
        if request.path.startswith("/v3/logs"):
            return self._log(request), []
        if (request.method, request.path) != ("POST", "/v3/mail/send"):
            return _error(404, "Not Found"), []
        try:
            mail = request.json()
            refusal = self._objection(mail)
            if refusal is not None:
                return refusal, []
            number = f"m{next(self._numbers):021d}"
            received = [_received(mail, one, number, request, self.clock()) for one in mail["personalizations"]]
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return _error(400, "Bad Request"), []
        return Reply(status=202, headers={"X-Message-Id": number}), received

    def _log(self, request: Request) -> Reply:
        """Email Logs: a list by a query, without keys, and one message whole, with its custom arguments."""
        until = self.clock() - self.lag
        entries = {
            f"{one.provider_message_id}.recvd-85abf8d92c-3qfgp.{place}": one
            for place, one in enumerate(self.accepted)
            if one.at <= until
        }
        if request.method == "GET":
            name = unquote(request.path.removeprefix("/v3/logs/"))
            if name not in entries:
                return _error(404, "message not found")
            one = entries[name]
            keys = {"custom_args": {OUR_KEY: one.key}} if one.key and not self.hides_keys else {}
            return Reply(status=200, body={**self._entry(name, one), **keys, "events": [], "category": []})
        asked = request.json()
        match = _QUERY.match(asked.get("query", ""))
        if match is None:
            return _error(400, "invalid query")
        since = datetime.fromisoformat(match["since"])
        found = [(name, one) for name, one in entries.items() if one.to == match["to"] and one.at >= since]
        listed = [self._entry(name, one) for name, one in found][: min(asked.get("limit", 10), 1000)]
        return Reply(status=200, body={"messages": listed})

    def _entry(self, name: str, one: Received) -> dict[str, str]:
        status, reason = self.statuses.get(one.key or "", ("processed", ""))
        return {
            "sg_message_id": name,
            "from_email": one.sender,
            "to_email": one.to or "",
            "subject": one.subject,
            "status": status,
            "reason": reason,
            "sg_message_id_created_at": one.at.isoformat(),
        }

    def _objection(self, mail: Mapping[str, Any]) -> Reply | None:
        """Why SendGrid takes nothing of this request."""
        people = mail["personalizations"]
        if not 1 <= len(people) <= 1000:
            return _error(400, "There must be 1 to 1000 personalizations.", field="personalizations")
        if not all(part["value"] for part in mail["content"]):
            return _error(400, "The content value must be a string at least one character in length.", field="content")
        for place, one in enumerate(people):
            field, to = f"personalizations.{place}", one["to"][0]["email"]
            if self._refuse and self._refuse(to):
                return _error(400, f"{to} does not contain a valid address.", field=f"{field}.to.0.email")
            if not one.get("subject", mail.get("subject")):
                return _error(400, "The subject is required.", field="subject")
            if _bytes(one.get("substitutions", {})) > 10_000:
                return _error(400, "Substitutions may not exceed 10000 bytes.", field=f"{field}.substitutions")
        return None

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


def _received(mail: Mapping[str, Any], one: Mapping[str, Any], number: str, request: Request, at: datetime) -> Received:
    """One personalization's message, as its recipient gets it."""
    tags = one.get("substitutions", {})
    origin, parts = mail["from"], {part["type"]: part["value"] for part in mail["content"]}
    return Received(
        key=one.get("custom_args", mail.get("custom_args", {})).get(OUR_KEY),
        to=one["to"][0]["email"],
        sender=f"{origin['name']} <{origin['email']}>" if "name" in origin else origin["email"],
        subject=_expanded(one.get("subject", mail.get("subject", "")), tags),
        text=_expanded(parts.get("text/plain", ""), tags),
        html=_expanded(parts["text/html"], tags) if "text/html" in parts else None,
        headers={**mail.get("headers", {}), **one.get("headers", {})},
        provider_message_id=number,
        request=request,
        at=at,
    )


def _expanded(text: str, tags: Mapping[str, str]) -> str:
    for tag, value in tags.items():
        text = text.replace(tag, value)
    return text


def _bytes(tags: Mapping[str, str]) -> int:
    return len("".join((*tags, *tags.values())).encode())

"""A Vonage of one's own: takes texts of the SMS API, and posts receipts and inbound texts signed with the account's secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlencode

from engine.provider import Webhook
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request


class VonageVendor(HttpVendor):
    """`refuse` may return Vonage's status for a number: 7 (barred), 33 (deactivated)… Refusals come inside a 200."""

    def __init__(
        self,
        *,
        api_key: str = "key-for-tests",
        api_secret: str = "secret-for-tests",  # noqa: S107
        signature_secret: str = "signature-for-tests",  # noqa: S107
        refuse: Callable[[str], str | None] | None = None,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._account, self._signature_secret, self._refuse = (api_key, api_secret), signature_secret, refuse

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if (request.method, request.path) == ("GET", "/account/get-balance"):
            basic = base64.b64encode(":".join(self._account).encode()).decode()
            known = request.headers.get("authorization") == f"Basic {basic}"
            return Reply(
                status=200 if known else 401, body={"value": 10.28, "autoReload": False} if known else b""
            ), None
        if (request.method, request.path) != ("POST", "/sms/json"):
            return Reply(status=404, body=b"not found"), None
        form = request.form()
        if (form.get("api_key"), form.get("api_secret")) != self._account:
            return _refused("4", "Invalid credentials"), None
        to, text = form.get("to", ""), form.get("text", "")
        status = self._refuse(to) if self._refuse else None
        if status is not None:
            return _refused(status, f"{to} refused"), None
        if not to.isdigit() or not text or not form.get("from"):
            return _refused("2" if not text else "3", "Missing or invalid parameter"), None
        if len(text) > 3200:
            return _refused("12", "Message too long"), None
        number = hashlib.sha256(f"{self.url} {len(self.accepted)}".encode()).hexdigest()[:16].upper()
        received = Received(
            key=form.get("client-ref"),
            to=f"+{to}",
            sender=form["from"],
            text=text,
            provider_message_id=number,
            callback_url=form.get("callback"),
            request=request,
        )
        part = {"to": to, "message-id": number, "status": "0", "remaining-balance": "3.14", "message-price": "0.03"}
        return Reply(status=200, body={"message-count": "1", "messages": [part]}), received

    def receipt(self, received: Received, status: str, *, at: datetime, error_code: str = "0") -> Webhook:
        """The signed delivery receipt about a message, to the URL that its sender gave."""
        fields = {
            "msisdn": (received.to or "").lstrip("+"),
            "to": received.sender.lstrip("+"),
            "network-code": "24405",
            "messageId": received.provider_message_id,
            "price": "0.03",
            "status": status,
            "scts": at.strftime("%y%m%d%H%M"),
            "err-code": error_code,
            "message-timestamp": at.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if received.key:
            fields["client-ref"] = received.key
        return self.signed(received.callback_url or "", fields, now=at)

    def inbound(
        self, url: str, *, sender: str, text: str, at: datetime, part: tuple[int, int] | None = None
    ) -> Webhook:
        """The signed webhook of a text that somebody sent to us; the same text from the same number is the same message.

        part: of a long one, which part of how many it is.
        """
        number = hashlib.sha256(f"{sender} {text}".encode()).hexdigest()[:16].upper()
        fields = {"msisdn": sender.lstrip("+"), "to": "15005550006", "messageId": number, "text": text, "type": "text"}
        fields |= {"keyword": text.split(" ")[0].upper(), "message-timestamp": at.strftime("%Y-%m-%d %H:%M:%S")}
        if part is not None:
            concat = {"concat": "true", "concat-ref": "108", "concat-part": str(part[0]), "concat-total": str(part[1])}
            fields |= concat
        return self.signed(url, fields, now=at)

    def signed(self, url: str, fields: Mapping[str, str], *, now: datetime, kind: str = "json") -> Webhook:
        """These fields with the account's signature, as JSON, as a form, or in the query of a GET."""
        whole = {**fields, "timestamp": str(int(now.timestamp())), "nonce": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"}
        said = "".join(f"&{name}={whole[name].replace('&', '_').replace('=', '_')}" for name in sorted(whole))
        whole["sig"] = hmac.new(self._signature_secret.encode(), said.encode(), hashlib.sha256).hexdigest()
        if kind == "query":
            return Webhook(method="GET", url=f"{url}?{urlencode(whole)}", headers={}, body=b"")
        if kind == "form":
            headers = {"content-type": "application/x-www-form-urlencoded"}
            return Webhook(method="POST", url=url, headers=headers, body=urlencode(whole).encode())
        headers = {"content-type": "application/json; charset=utf-8"}
        return Webhook(method="POST", url=url, headers=headers, body=json.dumps(whole).encode())


def _refused(status: str, words: str) -> Reply:
    return Reply(status=200, body={"message-count": "1", "messages": [{"status": status, "error-text": words}]})

"""A receiver of one's own webhooks: knows the signature of Standard Webhooks, and takes an id once where it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.provider import Webhook
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

TOLERANCE_SECONDS = 300


class WebhookReceiver(HttpVendor):
    """secrets: those of the signatures that it believes. remembers: takes a webhook-id once, and answers it again."""

    def __init__(
        self,
        *,
        secrets: Sequence[str],
        report_secret: str = "",
        remembers: bool = False,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._secrets, self._report_secret, self._remembers = secrets, report_secret, remembers
        self._answers: dict[str, Reply] = {}
        self.pings = 0

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if not self._signed(request):
            return Reply(status=401, body={"error": "no signature of yours"}), None
        identity, told = request.headers["webhook-id"], request.json()
        if told["type"] == "ping":
            self.pings += 1
            return Reply(status=204), None
        if self._remembers and identity in self._answers:
            return self._answers[identity], None
        data = told["data"]
        number = f"r{len(self.accepted)}"
        answer = self._answers[identity] = Reply(status=200, body={"id": number})
        template = data.get("template") or {}
        received = Received(
            key=identity if data["key"] == identity else None,
            to=data["to"],
            sender=data["from"],
            subject=data.get("subject", ""),
            text=data["text"],
            html=data.get("html"),
            headers=data.get("headers", {}),
            provider_message_id=number,
            request=request,
            template=template.get("name"),
            variables=template.get("variables", {}),
            image=data.get("image"),
            image_alt=data.get("image_alt", ""),
        )
        return answer, received

    def _signed(self, request: Request) -> bool:
        try:
            identity, stamp, given = (request.headers[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
        except KeyError:
            return False
        if abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
            return False
        wanted = {f"v1,{_signature(secret, identity, stamp, request.body)}" for secret in self._secrets}
        return bool(wanted & set(given.split(" ")))

    def forget(self) -> None:
        """What it remembers is over: no id is known any more."""
        self._answers.clear()

    def report(self, url: str, kind: str, data: Mapping[str, Any], *, identity: str, now: datetime) -> Webhook:
        """A signed report to our webhook."""
        told = {"type": kind, "timestamp": now.astimezone(UTC).isoformat(), "data": dict(data)}
        body, stamp = json.dumps(told).encode(), str(int(now.timestamp()))
        signed = f"v1,{_signature(self._report_secret, identity, stamp, body)}"
        headers = {"content-type": "application/json", "webhook-id": identity, "webhook-timestamp": stamp}
        return Webhook(method="POST", url=url, headers={**headers, "webhook-signature": signed}, body=body)


def _signature(secret: str, identity: str, stamp: str, body: bytes) -> str:
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.new(raw, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()).decode()

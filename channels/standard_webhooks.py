"""Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body, by one or several keys.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from engine.errors import ForgedWebhook, ProviderError
from engine.provider import Secret, Webhook

PREFIX = "whsec_"
SHORTEST = 16  # bytes of a key; the specification has 24 to 64, and some vendors hand out fewer


def key(secret: Secret) -> bytes:
    """A secret's bytes, written in base64 after `whsec_`. Raises SecretMissing; ProviderError, naming the variable."""
    try:
        raw = base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) < SHORTEST:
        raise ProviderError(
            f"{secret.variable} is no secret of Standard Webhooks",
            remedy=f"It is {PREFIX} and 24 random bytes or more in base64: echo {PREFIX}$(openssl rand -base64 32)",
        )
    return raw


def signature(raw: bytes, identity: str, at: int, body: bytes) -> str:
    """`v1,` and the signature by one key. at: Unix seconds."""
    signed = hmac.digest(raw, f"{identity}.{at}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(signed).decode()}"


def headers(keys: Sequence[bytes], identity: str, body: bytes, *, now: datetime) -> Mapping[str, str]:
    """The three headers, with a signature by each of the keys, so that either side may change its key first."""
    at = int(now.timestamp())
    signed = " ".join(signature(one, identity, at, body) for one in keys)
    return {"webhook-id": identity, "webhook-timestamp": str(at), "webhook-signature": signed}


def verify(webhook: Webhook, keys: Sequence[bytes], *, now: datetime, tolerance: timedelta) -> str:
    """The webhook's id, once any of its signatures is right by any of the keys. Raises ForgedWebhook."""
    identity, stamp = (webhook.headers.get(f"webhook-{part}", "") for part in ("id", "timestamp"))
    if not identity or not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
        raise ForgedWebhook("the signature names no id or no time")
    at = int(stamp)
    if abs(now.timestamp() - at) > tolerance.total_seconds():
        raise ForgedWebhook("the signature is too old, or from the future", remedy="Look at both machines' clocks.")
    given = webhook.headers.get("webhook-signature", "").split(" ")
    wanted = [signature(one, identity, at, webhook.body) for one in keys]
    if not any(hmac.compare_digest(one.encode(), right.encode()) for one in given for right in wanted):
        raise ForgedWebhook("the signature is not the receiver's")
    return identity

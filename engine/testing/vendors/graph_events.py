"""What Meta calls back, as it signs it: about a page, an Instagram account, and what people write to either."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.provider import Webhook
from engine.testing.vendors.graph import ACCOUNT_ID, PAGE_ID

SOMEBODY = "1234567890123456"


def signed(url: str, told: Any, secret: str) -> Webhook:
    body = json.dumps(told).encode()
    right = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-hub-signature-256": f"sha256={right}"}
    return Webhook(method="POST", url=url, headers=headers, body=body)


def of_page(change: Mapping[str, Any], *, at: datetime, post: str = f"{PAGE_ID}_1000") -> Mapping[str, Any]:
    """A change of the page's feed."""
    who = {"id": "7001", "name": "Ana Virtanen"}
    value = {"from": who, "post_id": post, "parent_id": post, "created_time": int(at.timestamp()), "verb": "add"}
    field = {"field": "feed", "value": {**value, **change}}
    return {"object": "page", "entry": [{"id": PAGE_ID, "time": int(at.timestamp()), "changes": [field]}]}


def of_account(
    field: str, value: Mapping[str, Any], *, at: datetime, media: str = "17900000000000001"
) -> Mapping[str, Any]:
    """A change of the Instagram account."""
    told = {
        "id": "178",
        "from": {"id": "8001", "username": "ana"},
        "media": {"id": media, "media_product_type": "FEED"},
    }
    entry = {"id": ACCOUNT_ID, "time": int(at.timestamp()), "changes": [{"field": field, "value": {**told, **value}}]}
    return {"object": "instagram", "entry": [entry]}


def written(kind: str, told: Mapping[str, Any], *, at: datetime, object: str = "page") -> Mapping[str, Any]:
    """A message to the page or the account, or what became of one."""
    mine = PAGE_ID if object == "page" else ACCOUNT_ID
    stamp = int(at.timestamp() * 1000)
    one = {"sender": {"id": SOMEBODY}, "recipient": {"id": mine}, "timestamp": stamp, kind: dict(told)}
    return {"object": object, "entry": [{"id": mine, "time": stamp, "messaging": [one]}]}

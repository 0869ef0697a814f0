"""What people on Bluesky did with our posts, and what they answered: its notifications, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.model import EventName
from engine.provider import ProviderEvent, storable

WORDS: Mapping[str, EventName] = {
    "reply": EventName.REPLIED,
    "mention": EventName.REPLIED,
    "like": EventName.REACTED,
    "repost": EventName.SHARED,
    "quote": EventName.SHARED,
    "like-via-repost": EventName.REACTED,
    "repost-via-repost": EventName.SHARED,
}
"""Why somebody is notified, in our words; every other reason is kept as `other`."""


def heard(told: Any) -> ProviderEvent | None:
    """One notification; None for what is none."""
    try:
        reason, record = storable(told["reason"]), told["record"]
        name = WORDS.get(reason, EventName.OTHER)
        about = record["reply"]["parent"]["uri"] if reason == "reply" else told.get("reasonSubject")
        return ProviderEvent(
            name=name,
            at=datetime.fromisoformat(str(told["indexedAt"])).astimezone(UTC),
            dedupe=f"{reason}:{storable(told['uri'])}",
            provider_message_id=storable(about) or None,
            address=f"@{storable(told['author']['handle'])}",
            text=storable(record.get("text")) if reason in ("reply", "mention", "quote") else "",
            detail={} if name is EventName.REPLIED else {"reaction": reason},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None

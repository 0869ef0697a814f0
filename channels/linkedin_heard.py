"""What people did with an organisation's posts on LinkedIn, and what they wrote under them: its notifications, in our words.

https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/organization-social-action-notifications
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.model import EventName
from engine.provider import ProviderEvent, storable

WORDS: Mapping[str, EventName] = {
    "COMMENT": EventName.REPLIED,
    "SHARE_MENTION": EventName.REPLIED,
    "LIKE": EventName.REACTED,
    "SHARE": EventName.SHARED,
}
"""The actions that are asked for, in our words; an administrator's own comments are none of them."""


def heard(told: Mapping[str, Any], author: str) -> ProviderEvent | None:
    """One notification to this author; None for what is none, or is our own. Who did it, LinkedIn tells by a number of its own."""
    try:
        action = storable(told["action"])
        made = _mapping(told.get("decoratedGeneratedActivity"))
        words = _mapping(made.get("comment") or made.get("share"))
        if words.get("owner") == author or action not in WORDS:
            return None
        post = _mapping(told.get("decoratedSourcePost")).get("entity") or told.get("sourcePost")
        name = WORDS[action]
        return ProviderEvent(
            name=name,
            at=datetime.fromtimestamp(int(told["lastModifiedAt"]) / 1000, UTC),
            dedupe=f"notification:{int(told['notificationId'])}",
            provider_message_id=storable(post) or None,
            text=storable(words.get("text")),
            detail={} if name is EventName.REPLIED else {"reaction": action.lower()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

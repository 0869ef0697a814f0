"""What people on X answered to us: posts that mention the account, in our words.

https://docs.x.com/x-api/users/get-mentions
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.model import EventName
from engine.provider import ProviderEvent, storable

ASKED = {"tweet.fields": "author_id,created_at,referenced_tweets", "expansions": "author_id", "user.fields": "username"}
_TO_WHOM = re.compile(r"^(?:@\w+\s+)+")


def heard(post: Mapping[str, Any], names: Mapping[str, str], account: str) -> ProviderEvent | None:
    """One post that mentions `account`; None for what is none, or is our own. `names`: of the authors, by their numbers."""
    try:
        author, referred = storable(post["author_id"]), post.get("referenced_tweets") or []
        about = {storable(one["type"]): storable(one["id"]) for one in referred}
        if author == account:
            return None
        quoted = "quoted" in about and "replied_to" not in about
        return ProviderEvent(
            name=EventName.SHARED if quoted else EventName.REPLIED,
            at=datetime.fromisoformat(str(post["created_at"])).astimezone(UTC),
            dedupe=f"post:{int(post['id'])}",
            provider_message_id=about.get("replied_to") or about.get("quoted"),
            address=f"@{names[author]}" if author in names else None,
            text=_TO_WHOM.sub("", html.unescape(storable(post.get("text")))).strip(),
            detail={"reaction": "quote"} if quoted else {},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def names(told: Mapping[str, Any]) -> dict[str, str]:
    """The authors' names, by their numbers, as an answer brings them beside its posts."""
    includes = told.get("includes")
    users = includes.get("users") if isinstance(includes, dict) else None
    known = [user for user in users if isinstance(user, dict)] if isinstance(users, list) else []
    return {storable(user.get("id")): storable(user.get("username")) for user in known if user.get("username")}

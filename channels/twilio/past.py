"""What became of a text, by the list of those that Twilio has: the same words to the same recipient at that time.

https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from channels.twilio.codes import WORDS, failed
from engine.errors import NoPlainAnswer
from engine.model import EventName
from engine.provider import Accepted, Finding, NotFound, storable, taken_then

MOST_PAGES = 10  # of a thousand messages to one recipient

Ask = Callable[[str, Mapping[str, Any] | None], Any]
"""Path and query of a question; raises NoPlainAnswer."""


def listed(account: str, to: str, ask: Ask) -> Iterator[Mapping[str, Any]]:
    """All messages to this recipient that Twilio has. What waits in its queue has no DateSent yet, so that is not filtered
    by. Raises NoPlainAnswer.
    """
    path: Any = f"/2010-04-01/Accounts/{account}/Messages.json"
    query: Mapping[str, Any] | None = {"To": to, "PageSize": 1000}
    for _ in range(MOST_PAGES):
        page = ask(path, query)
        messages = page.get("messages") if isinstance(page, dict) else None
        if not isinstance(messages, list):
            raise NoPlainAnswer("unreadable")
        yield from (each for each in messages if isinstance(each, dict))
        path, query = page.get("next_page_uri"), None
        if not path:
            return
        if not isinstance(path, str) or not path.startswith("/"):  # our credentials go to no other host
            raise NoPlainAnswer("unreadable")
    raise NoPlainAnswer("incomplete")


def find(messages: Iterable[Mapping[str, Any]], request: Mapping[str, Any], at: datetime) -> Finding:
    """The one that this request, handed over then, has made. Raises NoPlainAnswer where another may be it."""
    sender = "messaging_service_sid" if "messaging_service_sid" in request else "from"
    wanted, opaque = request.get("body", "").strip(), "content_sid" in request
    unclear, refusal = False, None
    for each in messages:
        ours = each.get(sender) == request.get(sender, request.get("from_"))
        if not ours or not str(each.get("direction", "")).startswith("outbound"):
            continue
        then = _taken_then(each.get("date_created"), at)
        body = storable(each.get("body")).strip()
        same = body == wanted and not opaque
        if then is False or not (same or opaque or not body or "smart_encoded" in request):
            continue
        if then is None or not same:  # another time, words of Twilio's making, or none: who knows
            unclear = True
        elif WORDS.get(str(each.get("status"))) is EventName.REJECTED:
            refusal = failed(each)
        else:
            return Accepted(provider_message_id=storable(each.get("sid")) or None)
    if unclear:
        raise NoPlainAnswer("unclear")
    return refusal or NotFound()


def _taken_then(date: Any, at: datetime) -> bool | None:
    try:
        return taken_then(parsedate_to_datetime(date), at)
    except (TypeError, ValueError):
        return None

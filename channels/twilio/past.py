"""What became of a text, by the list of those that Twilio has: the same words to the same recipient at that time.

The words there are not always those handed over: a trial account puts its own before them, a messaging service replaces what
is no plain letter by look-alikes (Smart Encoding, which is on unless somebody ends it).

https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from channels.twilio.codes import WORDS, failed
from engine.errors import NoPlainAnswer
from engine.model import EventName
from engine.provider import Accepted, Finding, NotFound, storable, taken_then

MOST_PAGES = 10  # of a thousand messages to one recipient
TRIAL = "Sent from your Twilio trial account - "
"""What a trial account's texts begin with, in the list, too."""

_PLAIN = re.compile(r"[A-Za-z0-9]+")

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
    wanted = None if "content_sid" in request else request.get("body", "").strip()
    unclear, refusal = False, None
    for each in messages:
        ours = each.get(sender) == request.get(sender, request.get("from_"))
        if not ours or not str(each.get("direction", "")).startswith("outbound"):
            continue
        then = _taken_then(each.get("date_created"), at)
        same = _same(storable(each.get("body")).strip(), wanted)
        if then is False or same is False:
            continue
        if then is None or same is None:  # another time, words of Twilio's making, or none: who knows
            unclear = True
        elif WORDS.get(str(each.get("status"))) is EventName.REJECTED:
            refusal = failed(each)
        else:
            return Accepted(provider_message_id=storable(each.get("sid")) or None)
    if unclear:
        raise NoPlainAnswer("unclear")
    return refusal or NotFound()


def _same(listed: str, wanted: str | None) -> bool | None:
    """Whether the listed words are the wanted ones, which are None for a template of Twilio's; None where that cannot be told.

    Whatever Twilio makes of a text, every row of plain letters and digits is still there, in its order: where one of them is
    missing, it is another text.
    """
    if wanted is None or not listed:
        return None
    if wanted in (listed, listed.removeprefix(TRIAL).strip()):
        return True
    end = 0
    for row in _PLAIN.findall(wanted):
        begin = listed.find(row, end)
        if begin < 0:
            return False
        end = begin + len(row)
    return None


def _taken_then(date: Any, at: datetime) -> bool | None:
    try:
        return taken_then(parsedate_to_datetime(date), at)
    except (TypeError, ValueError):
        return None

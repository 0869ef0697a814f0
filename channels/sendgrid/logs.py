"""What became of one message, by SendGrid's Email Logs: found among those to its recipient, known by our key.

https://www.twilio.com/docs/sendgrid/api-reference/email-logs
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import quote

from channels.sendgrid.events import DROPPED
from channels.sendgrid.letters import OUR_KEY, Letter
from engine.errors import NoPlainAnswer
from engine.provider import Accepted, Finding, NotFound, Rejected, storable, without_personal

Ask = Callable[[str, str, bytes | None], Any]
"""Method, path and body of a question; raises NoPlainAnswer."""

MOST = 1000  # messages in an answer; there is no next page
EARLIER = timedelta(minutes=5)  # SendGrid's clock may be behind ours


def find(letter: Letter, ask: Ask) -> Finding:
    """Raises NoPlainAnswer, where an answer is missing or leaves room for doubt."""
    unclear = False
    for entry in _entries(letter, ask):
        details = ask("GET", f"/v3/logs/{quote(_str(entry, 'sg_message_id'), safe='')}", None)
        keys = details.get("custom_args") if isinstance(details, dict) else None
        if isinstance(keys, dict):
            if keys.get(OUR_KEY) == letter.outgoing.key:
                return _finding(entry, letter)
        elif _str(entry, "subject") == letter.subject:
            unclear = True  # it may be ours; that the key is not told proves nothing
    if unclear:
        raise NoPlainAnswer("no_key")
    return NotFound()


def _entries(letter: Letter, ask: Ask) -> Iterator[Mapping[str, Any]]:
    """The log's messages to this recipient since the hand-over. SendGrid compares letter by letter, and may have kept the
    address as it was or in small letters.
    """
    since = (letter.outgoing.at - EARLIER).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for address in dict.fromkeys((letter.to, letter.to.lower())):
        query = f'to_email = "{address}" AND sg_message_id_created_at >= TIMESTAMP "{since}"'
        told = ask("POST", "/v3/logs", json.dumps({"query": query, "limit": MOST}).encode())
        entries = told.get("messages") if isinstance(told, dict) else None
        if not isinstance(entries, list) or len(entries) >= MOST:
            raise NoPlainAnswer("incomplete")
        yield from (entry for entry in entries if isinstance(entry, dict))


def _finding(entry: Mapping[str, Any], letter: Letter) -> Finding:
    """Delivered, deferred or bounced, SendGrid had it; what it dropped it never tried."""
    reason = _str(entry, "reason")
    if _str(entry, "status") == "dropped":
        detail = without_personal(reason, letter.to)
        return Rejected(code="dropped", detail=detail, suppress=DROPPED.get(reason.lower()))
    return Accepted(provider_message_id=_str(entry, "sg_message_id").split(".", 1)[0] or None)


def _str(entry: Mapping[str, Any], name: str) -> str:
    return storable(entry.get(name)).strip()

"""What SendGrid's event webhook says, in our words: one event an element, repeats recognised.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from channels.enhanced import BAD_ADDRESS
from channels.sendgrid.letters import OUR_KEY
from engine.model import EventName, Plain, SuppressionReason
from engine.provider import ProviderEvent, storable, without_personal

_E, _S = EventName, SuppressionReason

WORDS: Mapping[str, EventName] = {
    "processed": _E.ACCEPTED,
    "deferred": _E.DEFERRED,
    "delivered": _E.DELIVERED,
    "bounce": _E.BOUNCED,
    "dropped": _E.REJECTED,
    "open": _E.OPENED,
    "click": _E.CLICKED,
    "spamreport": _E.COMPLAINED,
    "spam report": _E.COMPLAINED,  # one table of the documentation writes it so
    "unsubscribe": _E.OPTED_OUT,
    "group_unsubscribe": _E.OPTED_OUT,
    "group_resubscribe": _E.OPTED_IN,
}
"""SendGrid's words in ours; every other word is kept as `other`."""

DROPPED: Mapping[str, SuppressionReason] = {
    "bounced address": _S.BOUNCED,
    "invalid": _S.BOUNCED,
    "spam reporting address": _S.COMPLAINED,
    "unsubscribed address": _S.OPTED_OUT,
}
"""Why SendGrid dropped a message without trying: what is on its own suppression lists belongs on ours."""

KEPT = ("event", "reason", "response", "status", "type", "bounce_classification", "attempt", "url", "useragent")
"""What an event's detail keeps of SendGrid's fields, addresses struck out."""


READERS = frozenset({_E.OPENED, _E.CLICKED})
"""Events whose `ip` is the reader's, or a machine's that reads for them: a `delivered` has the mail server's there."""


def event(item: Any, now: datetime) -> ProviderEvent:
    """One element of the array. A bad one is kept as `other`, so that it loses none of its neighbours."""
    if not isinstance(item, dict):
        digest = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()
        return ProviderEvent(name=EventName.OTHER, at=now, dedupe=digest, detail={"event": "not an object"})
    word = _str(item, "event").lower()
    name, suppress = _meaning(word, item)
    key = _str(item, OUR_KEY)
    whole = _str(item, "sg_message_id")
    message_id = whole.split(".", 1)[0]  # what X-Message-Id said is the part before the first dot
    return ProviderEvent(
        name=name,
        at=_at(item.get("timestamp"), now),
        dedupe=_dedupe(item),
        message_key=key or None,
        provider_message_id=(message_id if key else whole) or None,  # without our key it is another program's message
        address=_str(item, "email") or None,
        machine=item.get("sg_machine_open") is True,
        suppress=suppress,
        origin=_str(item, "ip") if name in READERS else "",
        detail=_detail(item),
    )


def _meaning(word: str, item: Mapping[str, Any]) -> tuple[EventName, SuppressionReason | None]:
    name = WORDS.get(word, EventName.OTHER)
    if name is EventName.COMPLAINED:
        return name, SuppressionReason.COMPLAINED
    if name is EventName.REJECTED:
        return name, DROPPED.get(_str(item, "reason").lower())
    if name is EventName.BOUNCED:
        return _bounce(item)
    return name, None


def _bounce(item: Mapping[str, Any]) -> tuple[EventName, SuppressionReason | None]:
    """Only a bounce that blames the address suppresses it; blocks and policy codes (5.7.x) never do."""
    status = _str(item, "status")
    if _str(item, "type").lower() == "blocked" or status.startswith("4."):
        return EventName.BOUNCED_SOFT, None
    blames = status in BAD_ADDRESS
    if not blames and not status.startswith("5.7."):
        blames = _str(item, "bounce_classification").lower() == "invalid address"
    return EventName.BOUNCED, SuppressionReason.BOUNCED if blames else None


def _dedupe(item: Mapping[str, Any]) -> str:
    """The same report hashes the same. sg_event_id is no part of it: it changes when SendGrid repeats itself."""
    fields = ("sg_message_id", OUR_KEY, "event", "timestamp", "email", "url")
    return hashlib.sha256("\0".join([_str(item, name) for name in fields]).encode()).hexdigest()  # no text has a NUL


def _at(stamp: Any, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return now


def _detail(item: Mapping[str, Any]) -> dict[str, Plain]:
    address, url = _str(item, "email"), _str(item, "url")
    said = {name: text for name in KEPT if name in item and (text := _str(item, name))}
    detail: dict[str, Plain] = {name: without_personal(text, address) for name, text in said.items()}
    if url and "@" not in url and "%40" not in url:
        detail["url"] = url[:2000]  # whole, so that the clicks of one link count together
    return detail


def _str(item: Mapping[str, Any], name: str) -> str:
    """A field as text. SendGrid's own samples begin some values with a space."""
    if name not in item:
        return ""
    return storable(item.get(name)).strip()

"""What SES says about its emails, in our words.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.model import EventName, Plain, SuppressionReason
from engine.provider import ProviderEvent, storable, without_personal

OUR_KEY = "regulars_message"  # the tag that comes back with every event

_E, _S = EventName, SuppressionReason

WORDS: Mapping[str, EventName] = {
    "send": _E.ACCEPTED,
    "delivery": _E.DELIVERED,
    "deliverydelay": _E.DEFERRED,
    "bounce": _E.BOUNCED,
    "complaint": _E.COMPLAINED,
    "reject": _E.REJECTED,
    "rendering failure": _E.REJECTED,
    "open": _E.OPENED,
    "click": _E.CLICKED,
    "subscription": _E.OPTED_OUT,
}
"""SES's words in ours; every other word is kept as `other`."""

PLACES: Mapping[str, str] = {"rendering failure": "failure", "deliverydelay": "deliveryDelay"}
"""Where an event's own fields are, if not under its word."""

BAD_ADDRESS = frozenset({"General", "NoEmail", "Suppressed", "OnAccountSuppressionList"})
"""Permanent bounces that blame the address, and those that SES no longer tries."""

NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "virus"})
"""Kinds of feedback (RFC 5965 §7.3) in which nobody complained, as in the mails that other mailbox providers send."""

READERS = frozenset({_E.OPENED, _E.CLICKED})
"""Events with the address and the program of the reader, or of a machine that reads for them."""

KEPT = ("bounceType", "bounceSubType", "complaintFeedbackType", "delayType", "reason", "errorMessage", "smtpResponse")


def read(told: Any, now: datetime) -> Sequence[ProviderEvent]:
    """The events of one notification: one, or for a bounce or complaint one a recipient."""
    if not isinstance(told, dict):
        return [_other(told, now)]
    word = (
        _str(told, "eventType") or _str(told, "notificationType")
    ).lower()  # the second: without a configuration set
    mail, own = _object(told, "mail"), _object(told, PLACES.get(word, word))
    name, suppress = _meaning(word, own)
    if word not in WORDS:
        return [_other(told, now)]
    keys = _object(mail, "tags").get(OUR_KEY)
    key = storable(keys[0]) if isinstance(keys, list) and keys else ""
    stamp = _str(own, "timestamp") or _str(mail, "timestamp")
    number = _str(mail, "messageId")
    return [
        ProviderEvent(
            name=name,
            at=_at(stamp, now),
            dedupe=hashlib.sha256(json.dumps([number, word, stamp, address, _str(own, "link")]).encode()).hexdigest(),
            message_key=key or None,
            provider_message_id=number or None,
            address=address or None,
            suppress=suppress,
            origin=_str(own, "ipAddress") if name in READERS else "",
            detail=_detail(own, word, address) | (_program(own, address) if name in READERS else {}),
        )
        for address in _addresses(own, mail)
    ]


def _meaning(word: str, own: Mapping[str, Any]) -> tuple[EventName, SuppressionReason | None]:
    name = WORDS.get(word, EventName.OTHER)
    if name is EventName.COMPLAINED:
        if _str(own, "complaintFeedbackType").lower() in NO_COMPLAINT:
            return EventName.OTHER, None
        return name, SuppressionReason.COMPLAINED
    if name is EventName.BOUNCED:
        if _str(own, "bounceType") != "Permanent":
            return EventName.BOUNCED_SOFT, None
        return name, SuppressionReason.BOUNCED if _str(own, "bounceSubType") in BAD_ADDRESS else None
    if name is EventName.OPTED_OUT and not _leaves(_object(own, "newTopicPreferences")):
        return EventName.OTHER, None
    return name, None


def _leaves(preferences: Mapping[str, Any]) -> bool:
    """Whether somebody's new choice is to get nothing more."""
    return preferences.get("unsubscribeAll") is True


def _addresses(own: Mapping[str, Any], mail: Mapping[str, Any]) -> list[str]:
    """Whom it is about: the recipients that bounced or complained, else the email's one recipient."""
    for name in ("bouncedRecipients", "complainedRecipients", "delayedRecipients"):
        people = own.get(name)
        if isinstance(people, list) and people:
            return [_str(each, "emailAddress") if isinstance(each, dict) else "" for each in people]
    people = mail.get("destination")
    return [storable(people[0]) if isinstance(people, list) and people else ""]


def _detail(own: Mapping[str, Any], word: str, address: str) -> dict[str, Plain]:
    detail: dict[str, Plain] = {"event": word}
    detail |= {name: without_personal(_str(own, name), address) for name in KEPT if _str(own, name)}
    for name in ("bouncedRecipients", "delayedRecipients"):
        people = own.get(name)
        if isinstance(people, list) and people and isinstance(people[0], dict):
            detail |= {
                field: without_personal(_str(people[0], field), address)
                for field in ("status", "diagnosticCode")
                if _str(people[0], field)
            }
    link = _str(own, "link")
    if link and "@" not in link and "%40" not in link:
        detail["url"] = link[:2000]  # whole, so that the clicks of one link count together
    return detail


def _program(own: Mapping[str, Any], address: str) -> dict[str, Plain]:
    """By which scanners and robots are told (engine/ledger/machines.py)."""
    return {"useragent": without_personal(_str(own, "userAgent"), address)} if "userAgent" in own else {}


def _other(told: Any, now: datetime) -> ProviderEvent:
    """What is no event that we know, kept by its word alone."""
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    word = _str(told, "eventType") if isinstance(told, dict) else ""
    return ProviderEvent(
        name=EventName.OTHER, at=now, dedupe=digest, detail={"event": without_personal(word) or "other"}
    )


def _at(stamp: str, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return now
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _str(fields: Mapping[str, Any], name: str) -> str:
    return storable(fields.get(name)).strip()

"""Twilio's words and error codes in ours. https://www.twilio.com/docs/api/errors"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from engine.model import EventName, SuppressionReason
from engine.provider import A_MOMENT, USUAL_WAIT, Rejected, storable

_E, _S = EventName, SuppressionReason

WORDS: Mapping[str, EventName] = {
    "accepted": _E.ACCEPTED,
    "scheduled": _E.ACCEPTED,
    "queued": _E.ACCEPTED,
    "sending": _E.ACCEPTED,
    "sent": _E.ACCEPTED,
    "delivered": _E.DELIVERED,
    "partially_delivered": _E.DELIVERED,
    "read": _E.OPENED,
    "undelivered": _E.BOUNCED_SOFT,
    "failed": _E.REJECTED,
    "canceled": _E.REJECTED,
    "receiving": _E.OTHER,
    "received": _E.REPLIED,
}
"""Twilio's message states in our words; every other word is kept as `other`."""

BAD_NUMBER: Mapping[str, SuppressionReason] = {
    "21610": _S.OPTED_OUT,  # the recipient answered STOP
    "21211": _S.BOUNCED,  # no such number
    "21614": _S.BOUNCED,  # not a mobile number
    "30006": _S.BOUNCED,  # a landline, or a carrier out of reach
    "63003": _S.BOUNCED,  # nobody on WhatsApp or Messenger
    "63024": _S.BOUNCED,  # no recipient that this medium has
}
"""Error codes that blame the number itself. Twilio may change what a code stands for: an unknown one never suppresses."""

HARD = frozenset({"30005", "30006", "63003", "63024"})  # unknown or gone; a landline; not on this medium
REFUSES_US = frozenset(
    {
        "21210",  # our number is not verified
        "21212",  # it is no number that Twilio knows
        "21267",  # a name as the sender, which a trial account may not use
        "21701",  # there is no such messaging service
        "21704",  # it has no numbers
    }
)
"""The sender that we name is wrong, whatever the message."""

SET_UP = REFUSES_US | frozenset(
    {
        "20003",
        "20404",
        "21408",
        "21603",
        "21606",
        "21609",
        "21612",
        "21659",
        "21660",
        "21661",
        "21703",
        "21705",
        "30034",
        "63007",
    }
)
"""Our account, sender, region or callback URL is wrong: nothing was taken, and it can be put right."""

LATER: Mapping[str, timedelta] = {
    "14107": A_MOMENT,  # too fast for the number
    "20429": A_MOMENT,  # too many calls at once
    "63018": A_MOMENT,  # too fast for the medium
    "21611": USUAL_WAIT,  # the sender's queue is full
    "30001": USUAL_WAIT,  # so is the account's
}
"""A limit or a full queue, and how long to wait where Twilio does not say."""

OPT_OUT_TYPES: Mapping[str, EventName] = {"STOP": _E.OPTED_OUT, "START": _E.OPTED_IN}
"""What Twilio's own keyword handling understood, in whatever language it was said."""


def failed(message: Mapping[str, Any]) -> Rejected:
    """A message that Twilio has, and has already given up."""
    code = storable(message.get("error_code"))
    return Rejected(code=code or "failed", suppress=BAD_NUMBER.get(code))

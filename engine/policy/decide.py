"""The gates in their order, and the one place where they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from engine.policy import consent, contact, expiry, holdout, pressure, quiet_hours, replies, suppression
from engine.policy.facts import Facts
from engine.policy.verdict import Send, Verdict
from engine.settings import Settings

Gate = Callable[[Facts, Settings, datetime], Verdict | None]

GATES: Mapping[str, Gate] = {
    "holdout": holdout.gate,
    "expiry": expiry.gate,
    "contact": contact.gate,
    "suppression": suppression.gate,
    "consent": consent.gate,
    "pressure": pressure.gate,
    "replies": replies.gate,
    "quiet_hours": quiet_hours.gate,
}
"""Name → gate. What ends a message comes before what only delays it."""


def decide(facts: Facts, settings: Settings, *, now: datetime) -> Verdict:
    """Send, hold or withhold: the first gate that objects decides."""
    for gate in GATES.values():
        objection = gate(facts, settings, now)
        if objection is not None:
            return objection
    return Send()

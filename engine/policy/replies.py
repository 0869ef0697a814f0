"""Who may have said no, in words that a person has to read first, gets nothing commercial until that was done."""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.model import MessageClass, Reason
from engine.policy.facts import Facts
from engine.policy.verdict import Hold, Verdict
from engine.settings import Settings

LOOK_AGAIN = timedelta(minutes=15)


def gate(facts: Facts, _settings: Settings, now: datetime) -> Verdict | None:
    if facts.reply_waits and facts.message_class is MessageClass.COMMERCIAL:
        return Hold(until=now + LOOK_AGAIN, reason=Reason.REPLY_WAITS)
    return None

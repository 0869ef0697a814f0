"""At most so many commercial messages to one customer within a rolling span."""

from __future__ import annotations

from datetime import datetime

from engine.model import Reason
from engine.policy.facts import Facts
from engine.policy.verdict import Verdict, Withhold
from engine.scalars import spoken
from engine.settings import Settings


def gate(facts: Facts, _settings: Settings, _now: datetime) -> Verdict | None:
    for cap, count in facts.counted:
        if count >= cap.at_most:
            return Withhold(
                reason=Reason.FREQUENCY_CAP, detail=f"{count} within {spoken(cap.within)}, at most {cap.at_most}"
            )
    return None

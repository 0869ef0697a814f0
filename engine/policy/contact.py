"""There must be somewhere to write to. A social post to everybody needs no recipient."""

from __future__ import annotations

from datetime import datetime

from engine.model import Reason
from engine.policy.facts import Facts
from engine.policy.verdict import Verdict, Withhold
from engine.settings import Settings


def gate(facts: Facts, _settings: Settings, _now: datetime) -> Verdict | None:
    if facts.customer is not None and facts.address is None:
        return Withhold(reason=Reason.NO_CONTACT_POINT)
    return None

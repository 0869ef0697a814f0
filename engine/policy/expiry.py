"""A message past its time is of no use and is not sent late."""

from __future__ import annotations

from datetime import datetime

from engine.model import Reason
from engine.policy.facts import Facts
from engine.policy.verdict import Verdict, Withhold
from engine.settings import Settings


def gate(facts: Facts, _settings: Settings, now: datetime) -> Verdict | None:
    if facts.not_after is not None and now > facts.not_after:
        return Withhold(reason=Reason.NOT_LATER_THAN)
    return None

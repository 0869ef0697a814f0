"""What a gate says: send, hold until an instant, or withhold for a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.model import Reason


@dataclass(frozen=True, slots=True)
class Send:
    """Nothing speaks against it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Not now: everything is decided again at `until` (UTC)."""

    until: datetime
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Withhold:
    """Not at all. `detail` is for the reader of `why`; it holds no address."""

    reason: Reason
    detail: str = ""


Verdict = Send | Hold | Withhold
"""The three expected outcomes; a gate that has nothing to say returns None."""

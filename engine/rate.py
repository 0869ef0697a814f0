"""A rate, as the YAML files write it: so many within a span, spread evenly, and how many of them may come at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

SPANS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
MOST = 100_000
_WRITTEN = re.compile(rf"^(\d{{1,9}})\s*/\s*({'|'.join(SPANS)})(?:\s*,?\s*burst\s+(\d{{1,6}}))?$")
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """`count` within `per`, one after the other at equal distances; after a pause `burst` of them at once.

    In any span of time that is `per` long at most `count + burst` come.
    """

    count: int
    per: timedelta
    burst: int

    @property
    def interval(self) -> timedelta:
        """The distance between two, in whole microseconds; rather a little too long than too short."""
        return every(self.per, self.count)

    @property
    def bulk_burst(self) -> int:
        """How many of a burst bulk may use. A fifth stays for receipts, so that they go first when both wait."""
        return max(1, self.burst - max(1, self.burst // 5))

    def __str__(self) -> str:
        span = next(name for name, length in SPANS.items() if length == self.per)
        return f"{self.count}/{span}, burst {self.burst}"


def every(span: timedelta, count: int) -> timedelta:
    """The distance at which so many fit into a span, in whole microseconds, rounded up."""
    return timedelta(microseconds=-(-(span // _MICROSECOND) // count))


def rate(value: Any) -> Rate:
    """`100/second`, or `100/second, burst 20`. Without it the burst is a quarter of a second's, and at least 3: so much
    comes together while a sender looks the other way. Raises ValueError.
    """
    if isinstance(value, Rate):
        return value
    match = _WRITTEN.match(str(value).strip())
    if match is None:
        raise ValueError('a rate is written "100/second" or "100/second, burst 20" (second, minute, hour, day)')
    count, per, burst = int(match[1]), SPANS[match[2]], match[3]
    if not 0 < count <= MOST * (per / SPANS["second"]):
        raise ValueError(f"a rate is at least 1, and at most {MOST:,} a second")
    if burst is not None and int(burst) < 1:
        raise ValueError("a burst is at least 1")
    return Rate(count=count, per=per, burst=int(burst) if burst else max(3, int(count * (SPANS["second"] / per) / 4)))


RateText = Annotated[
    Rate,
    BeforeValidator(rate),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\d+ */ *({'|'.join(SPANS)})( *,? *burst +\d+)?$",
            "examples": ["100/second", "5000/hour, burst 10"],
        }
    ),
]

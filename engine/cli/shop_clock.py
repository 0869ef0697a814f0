"""Times on a page: by the shop's clock, as the rules and the options have them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from engine.scalars import clock_time


class ShopClock:
    """Tells times by the clocks of the workspace's time zone, given by its name."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)

    def __call__(self, at: datetime) -> str:
        """`2026-03-02 14:00`."""
        return clock_time(at, self._zone)

    def soon(self, at: datetime) -> str:
        """`02 Mar 14:00`: where it is plain which year is meant."""
        return f"{at.astimezone(self._zone):%d %b %H:%M}"

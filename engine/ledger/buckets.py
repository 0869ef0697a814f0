"""The arithmetic of limits: a bucket's one number is the instant up to which its places in time are taken (GCRA).

A message takes a place as long as the bucket's interval. Those who may not take one yet get an appointment: places of a
queue beside the bucket, one after the other, so that each who waits is asked again when it is its turn, and not before.
GCRA: ITU-T I.371 Annex A; in plain words https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.rate import Rate, every
from engine.routing import WarmUp
from engine.scalars import first_instant

UNLIMITED = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket(ABC):
    """One limit that all senders keep together, under a name. `taken`: up to which instant places are taken (UTC)."""

    key: str

    @property
    def worth_while(self) -> int:
        """How many places bulk waits for, so that it need not come for each alone."""
        return UNLIMITED

    @abstractmethod
    def room(self, taken: datetime, *, now: datetime, bulk: bool) -> int:
        """How many may leave now."""

    @abstractmethod
    def after(self, taken: datetime, count: int, *, now: datetime) -> datetime:
        """Up to which instant places are taken once so many more have left."""

    @abstractmethod
    def opens(self, taken: datetime, *, now: datetime, bulk: bool, count: int = 1) -> datetime:
        """When so many may leave together, at most `worth_while` of them."""

    @abstractmethod
    def appointment(self, place: datetime, *, now: datetime) -> tuple[datetime, datetime]:
        """Who waits for this place in the queue comes again when, and the place behind it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Free(Bucket):
    """No limit of ours; it may be closed for a while because its vendor asked to wait."""

    def room(self, taken: datetime, *, now: datetime, bulk: bool) -> int:
        return UNLIMITED

    def after(self, taken: datetime, count: int, *, now: datetime) -> datetime:
        return taken

    def opens(self, taken: datetime, *, now: datetime, bulk: bool, count: int = 1) -> datetime:
        return now

    def appointment(self, place: datetime, *, now: datetime) -> tuple[datetime, datetime]:
        return place, place


@dataclass(frozen=True, kw_only=True, slots=True)
class Paced(Bucket):
    """So many a second, minute, hour or day."""

    rate: Rate

    def room(self, taken: datetime, *, now: datetime, bulk: bool) -> int:
        return max(0, (now + self._burst(bulk) * self.rate.interval - max(taken, now)) // self.rate.interval)

    def after(self, taken: datetime, count: int, *, now: datetime) -> datetime:
        return max(taken, now) + count * self.rate.interval

    def opens(self, taken: datetime, *, now: datetime, bulk: bool, count: int = 1) -> datetime:
        return max(now, taken - (self._burst(bulk) - count) * self.rate.interval)

    def appointment(self, place: datetime, *, now: datetime) -> tuple[datetime, datetime]:
        return place, place + self.rate.interval

    @property
    def worth_while(self) -> int:
        return max(1, self.rate.bulk_burst // 2)

    def _burst(self, bulk: bool) -> int:
        return self.rate.bulk_burst if bulk else self.rate.burst


@dataclass(frozen=True, kw_only=True, slots=True)
class Daily(Bucket):
    """So many a day, more from day to day: a new sender warms up. Days are those of `zone`.

    Receipts are counted and never wait. What is too much for today comes on a later day at the same time of day.
    """

    warm_up: WarmUp
    zone: ZoneInfo

    def room(self, taken: datetime, *, now: datetime, bulk: bool) -> int:
        today = now.astimezone(self.zone).date()
        if not bulk or self.warm_up.cap(today) is None:
            return UNLIMITED
        return max(0, (self._begin(today + _DAY) - max(taken, self._begin(today))) // self._interval(today))

    def after(self, taken: datetime, count: int, *, now: datetime) -> datetime:
        today = now.astimezone(self.zone).date()
        return max(taken, self._begin(today)) + count * self._interval(today)

    def opens(self, taken: datetime, *, now: datetime, bulk: bool, count: int = 1) -> datetime:
        if self.room(taken, now=now, bulk=bulk):
            return now
        return self._begin(now.astimezone(self.zone).date() + _DAY)

    def appointment(self, place: datetime, *, now: datetime) -> tuple[datetime, datetime]:
        day = place.astimezone(self.zone).date()
        at = datetime.combine(day, now.astimezone(self.zone).time())
        return first_instant(at, self.zone), place + self._interval(day)

    def _interval(self, day: date) -> timedelta:
        return every(self._begin(day + _DAY) - self._begin(day), self.warm_up.cap(day) or UNLIMITED)

    def _begin(self, day: date) -> datetime:
        return first_instant(datetime.combine(day, time()), self.zone).astimezone(UTC)


_DAY = timedelta(days=1)

"""Asking a vendor what it has, after an answer was lost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from engine.errors import NoPlainAnswer, SecretMissing
from engine.provider.outcome import Accepted, Ambiguous, Finding, NotFound
from engine.provider.texts import storable


class Remembered(OrderedDict[tuple[str, ...], str]):
    """What a vendor already has of a message that it was not surely handed, by what makes it the same: at most so much of it, as
    each process may forget it. The oldest makes room.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, mine: tuple[str, ...], name: str) -> None:
        super().__setitem__(mine, name)
        if len(self) > self._most:
            self.popitem(last=False)


CLOCKS_DIFFER = timedelta(minutes=5)
HAND_OVER_LASTS = timedelta(minutes=10)


def taken_then(created: datetime, at: datetime) -> bool | None:
    """Whether what a vendor dates `created` is what was handed over to it at `at`, for vendors who know no key of ours.

    True within ten minutes after it; False more than five minutes before it, as clocks may differ; None where it cannot
    be told: a little before, or so late that it may be another message of the same words.
    """
    if created < at - CLOCKS_DIFFER:
        return False
    return True if at - timedelta(seconds=1) <= created <= at + HAND_OVER_LASTS else None


def taken_at(date: object, at: datetime) -> bool | None:
    """`taken_then` of a date in ISO 8601, as most vendors write it; None for what is no date."""
    try:
        return taken_then(datetime.fromisoformat(str(date)), at)
    except (TypeError, ValueError):
        return None


def which(same: Iterable[tuple[object, bool | None]]) -> Accepted | NotFound | Ambiguous:
    """Of a vendor's messages with the same words, each by its id and by whether it was taken then (`taken_then`): ours."""
    unclear = False
    for name, then in same:
        if then:
            return Accepted(provider_message_id=storable(name) or None)
        unclear = unclear or then is None
    return Ambiguous(code="unclear") if unclear else NotFound()


def found_out(ask: Callable[[], Finding]) -> Finding:
    """What a look-up that asks finds; doubt where it cannot ask, or is told nothing plainly."""
    try:
        return ask()
    except SecretMissing as error:
        return Ambiguous(code="set_up", detail=error.what)
    except NoPlainAnswer as error:
        return Ambiguous(code=error.what)

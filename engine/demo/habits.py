"""How the invented people behave when a message comes: who opens, clicks, leaves, answers STOP, and when. All invented.

Nobody buys here: purchases are CDNOW's own and know nothing of our messages.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum

from engine.demo.chance import share, weighted


class Deed(StrEnum):
    """What a person does about a message."""

    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    STOP = "stop"


CLICKS, LEAVES = 0.20, 0.015
"""Of the offers that are opened: the share with a click, and the share that ends in an unsubscription."""

OPENS_RECEIPT = 0.60
STOPS, FAILS = 0.03, 0.02
"""Of the text messages: the share answered with STOP, and the share that never reaches the telephone."""

LOOKS = (
    (0.40, timedelta(hours=1)),
    (0.25, timedelta(hours=3)),
    (0.20, timedelta(hours=9)),
    (0.12, timedelta(days=1)),
    (0.03, timedelta(days=3)),
)
"""When people look at their mail after it came. Whole hours, so that many deeds share one moment of the clock."""

ANSWERS_AFTER = timedelta(hours=1)


def keenness(number: int) -> float:
    """The share of our offers that this person opens: between 5 and 55 in a hundred."""
    return 0.05 + 0.5 * share(number, "keen")


def on_offer(number: int, day: date) -> dict[Deed, timedelta]:
    """What the customer does with an offer by email that came that day: deeds, each with its delay."""
    if share(number, day, "open") >= keenness(number):
        return {}
    when = _look(number, day)
    if share(number, day, "leave") < LEAVES:
        return {Deed.OPEN: when, Deed.UNSUBSCRIBE: when}
    if share(number, day, "click") < CLICKS:
        return {Deed.OPEN: when, Deed.CLICK: when}
    return {Deed.OPEN: when}


def on_receipt(number: int, day: date) -> dict[Deed, timedelta]:
    """What the customer does with a receipt."""
    return {Deed.OPEN: _look(number, day)} if share(number, day, "receipt") < OPENS_RECEIPT else {}


def on_text(number: int, day: date) -> dict[Deed, timedelta]:
    """What the customer does with a text message: a few answer STOP."""
    return {Deed.STOP: ANSWERS_AFTER} if share(number, day, "stop") < STOPS else {}


def arrives(number: int, day: date) -> bool:
    """Whether a text message reaches the telephone."""
    return share(number, day, "reach") >= FAILS


def _look(number: int, day: date) -> timedelta:
    return weighted(LOOKS, number, day, "look")

"""How far a message came, as conditions ask for it: one row a word, with the column of the ledger that says when.

Opens and clicks are people's: what mail scanners and prefetching do is recorded, and sets none of these columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Column

from engine.store.tables import messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """`says` completes "the customer …" in the reference; `reads` a sentence, with the message at {}. `at`: when."""

    name: str
    says: str
    reads: str
    at: Column[Any]


_ROWS = (
    Reached(name="was_sent", says="was sent a message: the provider took it", reads="were sent {}", at=messages.c.accepted_at),
    Reached(name="received", says="received a message: the provider reported that it was delivered", reads="received {}", at=messages.c.delivered_at),
    Reached(name="opened", says="opened a message", reads="opened {}", at=messages.c.opened_at),
    Reached(name="clicked", says="clicked in a message", reads="clicked in {}", at=messages.c.clicked_at),
    Reached(name="replied_to", says="replied to a message", reads="replied to {}", at=messages.c.replied_at),
)  # fmt: skip

REACHED: Mapping[str, Reached] = MappingProxyType({row.name: row for row in _ROWS})
"""By the word of the language."""

ANY = "any"
"""Instead of a campaign's name: a message of any campaign."""

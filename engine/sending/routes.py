"""Which provider carries one message: the first in its order that works, and never another one while it is in doubt."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime

from engine.errors import ProviderError
from engine.ledger.hand_over import Held
from engine.model import Message, MessageClass
from engine.routing import Hop
from engine.sending.breaker import Breakers
from engine.settings import Settings

TURNS = 2
"""So many attempts that surely were not taken a provider has; then it is the next one's turn."""


def pick(
    settings: Settings,
    breakers: Breakers,
    message: Message,
    message_class: MessageClass,
    address: str | None,
    now: datetime,
) -> Hop | Held:
    """Who carries the message; held where every provider of its route is down. In doubt it is the provider that had it
    before, whatever became of that one. Raises ProviderError where there is no route.
    """
    hops = in_order(ways(settings, message, message_class, address), message.id)
    if message.doubt_since is not None and message.provider is not None:
        hops = [Hop(provider=message.provider, sender=hops[0].sender)]  # it is still from whom it was: see its values
    turn = message.attempts // TURNS % len(hops)
    waits: list[tuple[datetime, str]] = []
    for hop in (*hops[turn:], *hops[:turn]):
        until = breakers.waits_until(hop.provider, now)
        if until is None:
            return hop
        waits.append((until, hop.provider))
    until, first = min(waits)
    return Held(message=message, until=until, reason=breakers.reason(first))


def ways(settings: Settings, message: Message, message_class: MessageClass, address: str | None) -> tuple[Hop, ...]:
    """Everybody who may carry the message, in the order written. Raises ProviderError where nobody may."""
    route, where = settings.route(message.channel, message_class), f"config.yaml: channels.{message.channel}"
    if route is None:
        raise ProviderError(f"no provider carries {message_class} {message.channel}", where=where)
    hops, only = route.hops(message.channel, address), message.publisher
    if only is None:
        return hops
    if mine := tuple(hop for hop in hops if hop.provider == only):
        return mine
    raise ProviderError(f'"{only}" does not carry {message_class} {message.channel} any more', where=where)


def in_order(hops: Sequence[Hop], message_id: int) -> list[Hop]:
    """As written; or, by weight, in an order of the message's own, the same whenever and wherever it is asked for.

    Each is first for its share of the messages, and those of one that falls out go to the others by their shares
    (weighted rendezvous hashing, https://datatracker.ietf.org/doc/html/draft-ietf-bess-weighted-hrw).
    """
    return sorted(hops, key=lambda hop: _distance(hop, message_id)) if hops[0].weight is not None else [*hops]


def _distance(hop: Hop, message_id: int) -> float:
    hashed = hashlib.blake2b(f"{message_id} {hop.provider}".encode(), digest_size=8).digest()
    return -math.log((int.from_bytes(hashed) + 1) / 2**64) / (hop.weight or 1)

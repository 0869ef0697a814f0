"""An even draw from many who come by once: all of them while they are few, and some of every kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from heapq import nsmallest
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MOST = 2_000
"""About so many are drawn of all; fewer are all drawn."""
FEWEST = 20
"""At least so many of each kind, or all of it."""


class Draw(Generic[K]):
    """Each brings a number that looks like chance: those with the smallest are drawn. Memory is bounded by the kinds."""

    def __init__(self, most: int = MOST, fewest: int = FEWEST) -> None:
        self.of: Counter[K] = Counter()
        self._most, self._fewest = most, fewest
        self._drawn: defaultdict[K, list[tuple[int, int]]] = defaultdict(list)
        self._below = 1 << 64

    def add(self, kinds: Sequence[K], chances: Iterable[int], ids: Iterable[int]) -> None:
        """Somebody of each kind, with the chance drawn for each id."""
        self.of.update(kinds)
        drawn, below, fewest = self._drawn, self._below, self._fewest
        for kind, chance, one in zip(kinds, chances, ids, strict=True):
            if chance < below or len(drawn[kind]) < fewest:
                drawn[kind].append((chance, one))
        if sum(map(len, drawn.values())) > 2 * self._most:
            self._thin_out()

    def drawn(self) -> Mapping[K, list[int]]:
        """The ids drawn of each kind."""
        if sum(map(len, self._drawn.values())) > self._most:
            self._thin_out()
        return {kind: [one for _, one in some] for kind, some in self._drawn.items()}

    def _thin_out(self) -> None:
        everybody = (chance for some in self._drawn.values() for chance, _ in some)
        self._below = nsmallest(self._most, everybody)[-1] + 1
        for kind, some in self._drawn.items():
            kept = [one for one in some if one[0] < self._below]
            self._drawn[kind] = kept if len(kept) >= self._fewest else nsmallest(self._fewest, some)


def spread(seen: Mapping[K, int], over: int) -> dict[K, int]:
    """As many as `over`, in the shares in which some of them were seen: what was seen of all is told as it is."""
    whole = sum(seen.values())
    shares = {what: divmod(count * over, whole) for what, count in seen.items()}
    left = over - sum(share for share, _ in shares.values())
    next_up = sorted(shares, key=lambda what: -shares[what][1])[:left]
    return {what: share + (what in next_up) for what, (share, _) in shares.items()}

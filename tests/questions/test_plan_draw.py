"""An even draw: everybody of few, and of many some of every kind, whose shares stand for all."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from engine.questions.plan.draw import Draw, spread


@pytest.mark.parametrize("size", [1, 50, 100])
def test_few_are_all_drawn(size: int) -> None:
    """In several chunks, too: nothing is told from a part where the whole is small."""
    draw: Draw[str] = Draw(most=100, fewest=3)
    for start in range(0, size, 7):
        ids = range(start, min(start + 7, size))
        draw.add([str(one % 2) for one in ids], [one * 7919 % 1009 for one in ids], ids)
    assert sorted(one for some in draw.drawn().values() for one in some) == list(range(size))


def test_many_are_drawn_evenly_and_rare_kinds_nevertheless() -> None:
    """About as many as asked for, in the shares of the kinds; five of a kind among 20,000 are not overlooked."""
    chance = random.Random(3)
    draw: Draw[str] = Draw(most=1_000, fewest=5)
    for start in range(0, 20_000, 500):
        ids = range(start, start + 500)
        kinds = ["rare" if one % 4_000 == 17 else "half" if one % 2 else "other" for one in ids]
        draw.add(kinds, [chance.getrandbits(52) for _ in ids], ids)
    drawn = draw.drawn()
    assert len(drawn["rare"]) == 5 == draw.of["rare"]
    assert draw.of.total() == 20_000
    assert 1_000 <= sum(map(len, drawn.values())) <= 1_010
    assert 0.4 < len(drawn["half"]) / 1_000 < 0.6
    assert min(drawn["other"]) < 1_000 and max(drawn["other"]) > 19_000


@pytest.mark.parametrize(
    ("seen", "over"), [({"a": 3, "b": 1}, 4), ({"a": 3, "b": 1}, 1_001), ({"a": 1, "b": 1, "c": 1}, 100)]
)
def test_what_is_told_from_a_draw_adds_up(seen: dict[str, int], over: int) -> None:
    """To everybody, in the shares that were seen; and the whole is told as it is."""
    told = spread(seen, over)
    assert sum(told.values()) == over
    whole = sum(seen.values())
    assert all(abs(told[what] - over * count / whole) < 1 for what, count in seen.items())
    assert spread(seen, whole) == Counter(seen)

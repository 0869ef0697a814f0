"""Differences and intervals are those of the literature; arms that are not as they were drawn are seen."""

from __future__ import annotations

from math import comb

import pytest

from engine.measure.lift import ALARM, chance_of, lift, wilson


@pytest.mark.parametrize(
    ("written", "held", "difference", "low", "high"),
    [
        ((56, 70), (48, 80), 0.2000, 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.6000, 0.1705, 0.8090),
        ((620, 9_000), (50, 1_000), 0.01889, 0.0028, 0.0319),
        ((5, 56), (0, 29), 0.0893, -0.0381, 0.1926),
        ((0, 10), (0, 20), 0.0, -0.1611, 0.2775),
        ((10, 10), (0, 20), 1.0, 0.6791, 1.0000),
    ],
)
def test_the_interval_is_newcombes(
    written: tuple[int, int], held: tuple[int, int], difference: float, low: float, high: float
) -> None:
    """The examples of Newcombe's paper (1998), and one of 10,000 customers."""
    found = lift(*written, *held)
    assert found.difference == pytest.approx(difference, abs=5e-5)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))
    assert found.told == (low > 0)


def test_what_a_campaign_brought_is_the_difference_over_all_others() -> None:
    """170 of 9,000 customers, 24.9 to 287.4."""
    found = lift(620, 9_000, 50, 1_000)
    assert (found.more, found.more_low, found.more_high) == (
        pytest.approx(170, abs=0.05),
        pytest.approx(24.9, abs=0.05),
        pytest.approx(287.4, abs=0.05),
    )


def test_limits_of_a_share_stay_within_all() -> None:
    """Nobody of ten, and all of them."""
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12) and wilson(10, 10)[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("held", "drew", "share", "chance"),
    [
        (10_300, 20_300, 0.5, 0.03524),
        (10_600, 20_600, 0.5, 2.910e-05),
        (1_120, 10_120, 0.1, 3.454e-04),
    ],
)
def test_arms_that_are_not_as_drawn_are_seen(held: int, drew: int, share: float, chance: float) -> None:
    """Of many customers about what the χ² test says; below one in a thousand it is an alarm."""
    found = chance_of(held, drew, share)
    assert found == pytest.approx(chance, rel=0.3)  # which takes no account of the skew
    assert (found < ALARM) == (chance < 0.001)


@pytest.mark.parametrize(
    ("drew", "share"), [(1, 0.1), (10, 0.05), (20, 0.01), (100, 0.01), (200, 0.1), (1_000, 0.001), (3_000, 0.3)]
)
def test_an_alarm_is_false_less_than_once_in_a_thousand(drew: int, share: float) -> None:
    """Of all sizes that the lot can give, those that alarm come so seldom together; and one of them does, where any is so unlikely."""
    odds = [comb(drew, k) * share**k * (1 - share) ** (drew - k) if drew < 500 else None for k in range(drew + 1)]
    alarming = [k for k in range(drew + 1) if chance_of(k, drew, share) < ALARM]
    if drew < 500:
        assert sum(odds[k] or 0 for k in alarming) < ALARM
    assert alarming or share**drew > ALARM / 2 or (drew, share) == (1, 0.1)
    assert all(k in alarming for k in range(max(alarming, default=drew + 1), drew + 1))


def test_of_nobody_nothing_is_said() -> None:
    """A run that owed nobody anything alarms nobody; a share of a million people is told at once."""
    assert chance_of(0, 0, 0.1) == 1.0
    assert chance_of(100_000, 1_000_000, 0.1) == 1.0
    assert chance_of(0, 1_000_000, 0.1) == chance_of(1_000_000, 1_000_000, 0.1) == 0.0

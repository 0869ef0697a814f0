"""What a campaign brought about: the difference between all others and its holdout, with its interval.

The interval of a difference of two shares is Newcombe's hybrid score interval (1998, method 10,
https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I), of Wilson's limits, at 95 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, lgamma, log, sqrt

Z = 1.959963984540054
"""The normal distribution's 97.5 % point."""

ALARM = 0.001
"""A holdout whose size chance alone gives less often than this is not the one that was drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lift:
    """By how much the share of customers who reached the goal differs: of all others, less of the holdout.

    low, high: its 95 % interval. more: customers who reached it because of the campaign, as far as that tells; more_low,
    more_high: their interval.
    """

    difference: float
    low: float
    high: float
    more: float
    more_low: float
    more_high: float

    @property
    def told(self) -> bool:
        """Whether the interval leaves zero out: whether there is a difference, as far as 95 % go."""
        return self.low > 0 or self.high < 0


def lift(reached: int, of: int, held_reached: int, held: int) -> Lift:
    """Of `of` others so many reached the goal, of `held` held out so many. Both arms have somebody in them."""
    p, q = reached / of, held_reached / held
    (p_low, p_high), (q_low, q_high) = wilson(reached, of), wilson(held_reached, held)
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    return Lift(difference=p - q, low=low, high=high, more=(p - q) * of, more_low=low * of, more_high=high * of)


def wilson(reached: int, of: int) -> tuple[float, float]:
    """Wilson's score limits of a share (1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    share, square = reached / of, Z * Z
    middle = share + square / (2 * of)
    around = Z * sqrt(share * (1 - share) / of + square / (4 * of * of))
    return (middle - around) / (1 + square / of), (middle + around) / (1 + square / of)


def chance_of(held: int, drew: int, share: float) -> float:
    """How likely a holdout of `drew` people is at least as far from its share (0.1 for 10 %) as `held` is, by chance (sample-ratio
    mismatch): twice the smaller tail of the binomial distribution, exactly. The share is more than 0 and less than 1.
    """
    down, up = range(held, -1, -1), range(held, drew + 1)
    tails = (_sum(_odds(k, drew, share) for k in tail) for tail in (down, up))
    return min(1.0, 2 * min(tails))


def _sum(odds: Iterable[float]) -> float:
    """Of a tail that begins with the largest, or on the way to it: no further than what still counts."""
    total, most = 0.0, 0.0
    for one in odds:
        total, most = total + one, max(most, one)
        if one < 1e-12 * most or total > 1:
            break
    return total


def _odds(k: int, n: int, share: float) -> float:
    """That of `n` exactly `k` are drawn."""
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return exp(ways + k * log(share) + (n - k) * log(1 - share))

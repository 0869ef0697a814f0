"""Chance without dice: a number decides, by its hash, so that the demo is the same on every machine and every day."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def share(*about: object) -> float:
    """An even spread over 0 ≤ x < 1, fixed for what it is about: `share(17, "opens", "christmas")`."""
    digest = hashlib.sha256("/".join(map(str, about)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def one_of(choices: Sequence[T], *about: object) -> T:
    """One of the choices, each as likely as the next."""
    return choices[int(share(*about) * len(choices))]


def weighted(choices: Sequence[tuple[float, T]], *about: object) -> T:
    """One of the choices, by weights that sum to 1."""
    left = share(*about)
    for weight, choice in choices:
        if left < weight:
            return choice
        left -= weight
    return choices[-1][1]

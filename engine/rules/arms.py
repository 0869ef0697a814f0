"""A campaign's arms: whom it holds out, and which of its variants each of the others reads.

Both are drawn by lot from the customer's own id, as the shop knows it, and the campaign's name alone: the same in every run, at
every retry, on every machine, and in a database that was made anew. A holdout that grows keeps those who were in it. Of the variants
each customer reads the one they draw the highest number for (rendezvous hashing, Thaler & Ravishankar 1998): a variant that is
added takes its share evenly from the others, and nobody else changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal

HOLDOUT = "holdout"
"""The arm that gets nothing. No variant may be called so."""

LOTS = 10_000


def holdout_lot(campaign: str, customer: str) -> Decimal:
    """The lot, from 0 to 99.99, by which a customer (external id) is held out of a campaign, or not."""
    return Decimal(_draw("holdout", campaign, customer) % LOTS) / 100


def held_out(campaign: str, share: Decimal, customer: str | None) -> bool:
    """Whether a campaign that holds out this share (0.1 for 10 %) sends the customer nothing. A post to everybody has none."""
    return bool(share) and customer is not None and holdout_lot(campaign, customer) < share * 100


def variant_of(campaign: str, variants: Sequence[str], customer: str) -> str:
    """Which of the variants the customer reads; empty where there are none."""
    return max(variants, key=lambda one: _draw(f"variant {one}", campaign, customer), default="")


def _draw(what: str, campaign: str, customer: str) -> int:
    """No name of a campaign or variant has a NUL, so that no two draws are of the same words."""
    drawn = hashlib.blake2b(f"{what}\0{campaign}\0{customer}".encode(), digest_size=8, person=b"regulars arms")
    return int.from_bytes(drawn.digest(), "big")

"""A customer's lot: a number from 0 to 99.99, drawn once and for all by a hash of the id and a name of the draw.

The hash is arithmetic alone, so that SQLite, PostgreSQL and Python come to the same: two rounds of adding a key and taking
the third power modulo a prime P (as MiMC does, Albrecht et al. 2016, https://eprint.iacr.org/2016/492). P mod 3 is 2, so each
round is one-to-one; P² stays below 2⁶³. The keys are the name's BLAKE2 hash. Whoever has a lot below 10 has one below 20:
a share that grows keeps those who were in it.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, literal

from engine.rules.columns import Typed, fraction, numbers
from engine.store.tables import customers

PRIME = 2_147_483_579
LOTS = 10_000
ROUNDS = 2


def lot(customer_id: int, of: str) -> Decimal:
    """The lot of the customer with this row id in the draw called `of`: from 0 to 99.99."""
    drawn = customer_id
    for key in _keys(of):
        mixed = (drawn + key) % PRIME
        drawn = mixed * mixed % PRIME * mixed % PRIME
    return Decimal(drawn % LOTS) / 100


def lot_of_customer(of: str, dialect: str) -> Typed:
    """The same in SQL, of each row of customers."""
    drawn: ColumnElement[Any] = customers.c.id
    prime = _whole(PRIME)
    for key in _keys(of):
        mixed = (drawn + _whole(key)) % prime
        drawn = mixed * mixed % prime * mixed % prime
    return numbers(fraction(drawn % _whole(LOTS), dialect) / fraction(_whole(100), dialect), dialect)


def _keys(of: str) -> tuple[int, ...]:
    digest = hashlib.blake2b(of.encode(), digest_size=8 * ROUNDS, person=b"regulars lot").digest()
    return tuple(int.from_bytes(digest[at : at + 8], "big") % PRIME for at in range(0, 8 * ROUNDS, 8))


def _whole(value: int) -> ColumnElement[int]:
    """Written into the statement, so that the database sees constants."""
    return literal(value, BigInteger(), literal_execute=True)

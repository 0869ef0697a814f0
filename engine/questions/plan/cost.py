"""What messages would cost: SMS by their parts and the countries of their numbers, email by the message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from engine.model import Channel
from engine.settings import Prices


@dataclass(frozen=True, kw_only=True, slots=True)
class Country:
    """The SMS to one country's numbers. `amount` is None where config.yaml has no price for it."""

    country: str
    messages: int
    parts: int
    amount: Decimal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """`amount` in the workspace's currency: of everything that has a price; None where nothing has.

    `unpriced`: how many messages have none. `countries` for SMS alone, the most parts first.
    """

    messages: int
    parts: int
    amount: Decimal | None
    unpriced: int
    countries: tuple[Country, ...] = ()


def cost_of(channel: Channel, prices: Prices, sent: int, texts: Mapping[tuple[str, int], int]) -> Cost:
    """`texts` counts an SMS campaign's messages by country and parts."""
    if channel is not Channel.SMS:
        price = prices.email if channel is Channel.EMAIL else None
        amount = price * sent if price is not None else None
        return Cost(messages=sent, parts=sent, amount=amount, unpriced=0 if price is not None else sent)
    messages, parts = Counter[str](), Counter[str]()
    for (country, of_each), count in texts.items():
        messages[country] += count
        parts[country] += count * of_each
    countries = []
    for country, count in parts.most_common():
        amount = prices.of_text(country, count)
        countries.append(Country(country=country, messages=messages[country], parts=count, amount=amount))
    priced = [one.amount for one in countries if one.amount is not None]
    return Cost(
        messages=sent,
        parts=parts.total(),
        amount=sum(priced, Decimal()) if priced else None,
        unpriced=sum(one.messages for one in countries if one.amount is None),
        countries=tuple(countries),
    )


def together(costs: list[Cost]) -> Cost:
    """Of several campaigns."""
    priced = [cost.amount for cost in costs if cost.amount is not None]
    return Cost(
        messages=sum(cost.messages for cost in costs),
        parts=sum(cost.parts for cost in costs),
        amount=sum(priced, Decimal()) if priced else None,
        unpriced=sum(cost.unpriced for cost in costs),
    )

"""Who carries a channel's messages, and how fast: the routes and limits of config.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from engine.model import Channel, MessageClass
from engine.rate import Rate, RateText
from engine.scalars import Slug

DEFAULT = "default"
PHONES = frozenset({Channel.SMS, Channel.WHATSAPP})
"""The channels whose addresses are phone numbers, and so have a country."""
Path = tuple[str | int, ...]


class Part(BaseModel):
    """A block of config.yaml. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def country(value: Any) -> str:
    """A country as phone numbers know it. Raises ValueError."""
    import phonenumbers  # only for those who name countries: it takes a while to load

    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("a country has two capital letters, like FI")
    return str(value)


def _domain(value: Any) -> str:
    written = str(value).strip().lower()
    if written != DEFAULT and (written.startswith((".", "*", "@")) or "." not in written or " " in written):
        raise ValueError("a domain is what stands after the @, like gmail.com")
    return written.encode("idna").decode("ascii") if not written.isascii() else written


def _sender(value: Any) -> str:
    written = str(value).strip().lower()
    if not written or "<" in written:
        raise ValueError("a sender is named by its address alone, like news@shop.example, or by its domain")
    return written


Sender = Annotated[str, BeforeValidator(_sender), WithJsonSchema({"type": "string", "examples": ["news.shop.example"]})]
Country = Annotated[str, BeforeValidator(country), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$"})]
Domain = Annotated[str, BeforeValidator(_domain), WithJsonSchema({"type": "string", "examples": ["gmail.com"]})]


# ---------------------------------------------------------------- routes


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """One provider that may carry a message, whom the message is then from, and its share (None: in the order written)."""

    provider: str
    sender: str
    weight: int | None = None


class Carrier(Part):
    """A provider among several. `from` where it is not the route's."""

    provider: Slug
    sender: str | None = Field(default=None, alias="from", min_length=1)
    weight: int | None = Field(default=None, ge=1, le=1_000_000, description="Its share beside the others' weights.")


def _carrier(value: Any) -> Any:
    return {"provider": value} if isinstance(value, str) else value


_CARRIER = {
    "type": "object",
    "properties": {
        "provider": {"type": "string"},
        "from": {"type": "string", "description": "Where it is not the route's."},
        "weight": {"type": "integer", "minimum": 1, "description": "Its share beside the others' weights."},
    },
    "required": ["provider"],
    "additionalProperties": False,
}
Carriers = Annotated[
    tuple[Annotated[Carrier, BeforeValidator(_carrier)], ...],
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [{"type": "string"}, _CARRIER]},
            "examples": [["twilio", "vonage"]],
        }
    ),
]


class _Carried(Part):
    """By one provider, or by several: in the order written, or each by its weight."""

    provider: Slug | None = Field(default=None, description="Who carries them.")
    providers: Carriers = Field(
        default=(), description="Several: the next where the one before fails, or each by its `weight`."
    )

    @model_validator(mode="after")
    def _somebody(self) -> _Carried:
        if (self.provider is None) == (not self.providers):
            raise ValueError("a route names `provider`, or `providers`")
        weighed = sum(one.weight is not None for one in self.providers)
        if weighed not in (0, len(self.providers)):
            raise ValueError("either all of `providers` have a weight, or none")
        return self

    def _hops(self, sender: str) -> tuple[Hop, ...]:
        if self.provider is not None:
            return (Hop(provider=self.provider, sender=sender),)
        return tuple(
            Hop(provider=one.provider, sender=one.sender or sender, weight=one.weight) for one in self.providers
        )

    def _places(self) -> Iterator[Path]:
        if self.provider is not None:
            yield ("provider",)
        yield from (("providers", number, "provider") for number, _ in enumerate(self.providers))


class Branch(_Carried):
    """Some recipients are carried otherwise: those of these countries (phone numbers), or with addresses at these domains (email)."""

    countries: frozenset[Country] = frozenset()
    domains: frozenset[Domain] = frozenset()
    sender: str | None = Field(default=None, alias="from", min_length=1)

    @model_validator(mode="after")
    def _of_whom(self) -> Branch:
        if bool(self.countries) == bool(self.domains):
            raise ValueError("under `for`, each part names either `countries` or `domains`")
        return self

    def takes(self, channel: Channel, address: str | None) -> bool:
        """Whether it carries the messages to this address."""
        if address is None:
            return False
        from engine.addresses import country_of, domain_of  # only for those with branches, see `country`

        if self.countries:
            return channel in PHONES and country_of(address) in self.countries
        return channel is Channel.EMAIL and domain_of(address) in self.domains


class Route(_Carried):
    """Which provider carries a channel's messages of one class, and who they are from."""

    sender: str = Field(alias="from", min_length=1)
    branches: tuple[Branch, ...] = Field(
        default=(), alias="for", description="Who is carried otherwise: the first part that fits counts."
    )

    def hops(self, channel: Channel, address: str | None) -> tuple[Hop, ...]:
        """Who may carry a message to this address, in the order written."""
        for branch in self.branches:
            if branch.takes(channel, address):
                return branch._hops(branch.sender or self.sender)
        return self._hops(self.sender)

    def all_hops(self) -> tuple[Hop, ...]:
        """Everybody who may carry one of its messages."""
        inner = (branch._hops(branch.sender or self.sender) for branch in self.branches)
        return (*self._hops(self.sender), *(hop for hops in inner for hop in hops))

    def places(self) -> Iterator[tuple[Path, Hop]]:
        """The same, each with where it stands below the route."""
        paths = [*self._places()]
        for number, branch in enumerate(self.branches):
            paths += [("for", number, *path) for path in branch._places()]
        yield from zip(paths, self.all_hops(), strict=True)


class Routes(Part):
    """The routes of one channel. Commercial and transactional mail should not share a From address."""

    commercial: Route | None = None
    transactional: Route | None = None
    domains: Mapping[Domain, RateText] = Field(
        default_factory=dict,
        description="Email: how many to each recipients' domain, like `{gmail.com: 20/second, default: 50/second}`.",
    )

    def of(self, message_class: MessageClass) -> Route | None:
        return self.commercial if message_class is MessageClass.COMMERCIAL else self.transactional

    def domain_rate(self, domain: str) -> Rate | None:
        return self.domains.get(domain) or self.domains.get(DEFAULT)


# ---------------------------------------------------------------- senders


class WarmUp(Part):
    """A new sender begins small: so many a day from a first day on, then as many as one likes."""

    start: date = Field(alias="from", description="The first day, like 2026-12-01.")
    days: tuple[Annotated[int, Field(ge=1, le=10_000_000)], ...] = Field(
        min_length=1, max_length=366, description="How many on the first day, the second…, like [50, 100, 200, 400]."
    )

    def cap(self, day: date) -> int | None:
        """How many on this day; None where the warm-up is over. Before its first day it is as on that."""
        since = max(0, (day - self.start).days)
        return self.days[since] if since < len(self.days) else None


class SenderLimits(Part):
    """What one From address, or all of one domain, may send together."""

    rate: RateText | None = None
    warm_up: WarmUp | None = None

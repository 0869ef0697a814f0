"""config.yaml: what the workspace declares once (database, attributes, purposes, channels, providers, limits)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from engine import document
from engine.errors import Position, Problem, WorkspaceError
from engine.guards import Guards
from engine.model import ANSWERS, AttributeType, Channel, ConsentRule, EventName, MessageClass
from engine.provider import SecretRef
from engine.routing import DEFAULT, Part, Route, Routes, Sender, SenderLimits, country
from engine.scalars import Duration, Slug, TimeOfDay, Zone


class Purpose(Part):
    """What a message is for, as the customer would say it, and how the purpose treats silence."""

    title: str = ""
    consent: ConsentRule = ConsentRule.OPT_IN


class QuietHours(Part):
    """Commercial messages of the channel wait from `from` to `to`, in the recipient's own time zone."""

    start: TimeOfDay = Field(alias="from")
    end: TimeOfDay = Field(alias="to")


class Cap(Part):
    """At most so many commercial messages to one customer within a rolling span; on one channel, or over all."""

    at_most: int = Field(ge=1)
    within: Duration
    channel: Channel | None = None


class Dispatch(StrEnum):
    """Who tells senders that messages are due: nobody (threads look for themselves), or Procrastinate's tickets."""

    THREADS = "threads"
    PROCRASTINATE = "procrastinate"


class AfterPromotion(StrEnum):
    """What is done when a standby took over: it may lack the last commits, unless replication is synchronous."""

    ASK = "ask"
    GO_ON = "go_on"


Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$")]


class Sending(Part):
    """How the sender works. The lease must be longer than a whole provider call, with a margin."""

    dispatch: Dispatch = Field(
        default=Dispatch.THREADS,
        description="How senders learn what is due: `threads` look for themselves, `procrastinate` (PostgreSQL) calls them.",
    )
    threads: int = Field(default=2, ge=1, le=64)
    batch: int = Field(default=100, ge=1, le=5000)
    deadline: Duration = timedelta(seconds=20)
    lease: Duration = timedelta(minutes=2)
    retry_for: Duration = timedelta(hours=24)
    max_attempts: int = Field(default=8, ge=1, le=100)
    resolve_window: Duration = timedelta(hours=72)
    image_hosts: tuple[Host, ...] = Field(
        default=(),
        description="Hosts in your own network from which images of posts may be fetched; all others must be public.",
    )
    promoted: AfterPromotion = Field(
        default=AfterPromotion.ASK,
        description="When PostgreSQL failed over: `ask` a person first, or `go_on`, where replication is synchronous.",
    )

    @model_validator(mode="after")
    def _lease_outlives_deadline(self) -> Sending:
        if self.lease < self.deadline * 2:
            raise ValueError("the lease must be at least twice the deadline of a provider's call")
        return self


def _country(value: Any) -> str:
    """Of an SMS's price: a country as phone numbers know it, or the price of all the others."""
    return DEFAULT if value == DEFAULT else country(value)


Country = Annotated[str, BeforeValidator(_country)]
Price = Annotated[Decimal, Field(ge=0, le=1000)]


class Prices(Part):
    """What a message costs, in the workspace's currency: an SMS by the part and the country of its number, an email each."""

    sms: Mapping[Country, Price] = Field(
        default_factory=dict, description="For one part, by country: `{FI: 0.05, default: 0.08}`."
    )
    email: Price | None = Field(default=None, description="For one email.")

    def of_text(self, country: str, parts: int) -> Decimal | None:
        """Of an SMS in so many parts; None where it has no price."""
        price = self.sms.get(country, self.sms.get(DEFAULT))
        return price * parts if price is not None else None


Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Words = Annotated[str, Field(min_length=1, max_length=480, pattern=r"\S")]


class Answers(Part):
    """What is answered to a text message, by language (`{en: …, de: …}`); the first is for all others. Without words, nothing."""

    stop: Mapping[Language, Words] = Field(
        default_factory=dict, description="Confirms a STOP, once, without any advertisement; name yourself."
    )
    help: Mapping[Language, Words] = Field(
        default_factory=dict, description="Answers HELP: who you are, and how a person reaches you."
    )
    start: Mapping[Language, Words] = Field(default_factory=dict, description="Confirms a START after a STOP.")


class SoftBounces(Part):
    """When failures that should pass mean that an address is dead: so many messages in a row, within a time."""

    in_a_row: int = Field(default=5, ge=0, le=100, description="So many messages to an address; 0 for never.")
    within: Duration = Field(default=timedelta(days=30), description="Older ones do not count.")


def _range(value: Any) -> str:
    """A range of addresses in its normal form; one address is a range of itself."""
    try:
        return str(ip_network(str(value).strip()))
    except ValueError as error:
        raise ValueError(
            "a range of addresses is written 192.0.2.0/24 or 2001:db8::/32, with nothing after its prefix"
        ) from error


AddressRange = Annotated[str, BeforeValidator(_range)]


class Tracking(Part):
    """Whether opens and clicks of email are recorded by links of our own, and whence scanners come that open and click."""

    opens: bool = True
    clicks: bool = True
    scanners: tuple[AddressRange, ...] = Field(
        default=(),
        description="Addresses of mail scanners, like `[192.0.2.0/24]`: what comes from them is no person's.",
    )
    proxies: tuple[AddressRange, ...] = Field(
        default=("127.0.0.0/8", "::1/128"),
        description="Where the proxies before the HTTP door stand: their X-Forwarded-For is believed.",
    )


_ANSWERED = {"campaign": AttributeType.TEXT, "provider": AttributeType.TEXT}
BUILT_IN_EVENTS: Mapping[str, Mapping[str, AttributeType]] = {
    EventName.REPLIED.value: _ANSWERED,
    EventName.REACTED.value: {**_ANSWERED, "reaction": AttributeType.TEXT},
    EventName.SHARED.value: {**_ANSWERED, "reaction": AttributeType.TEXT},
}
"""What people do with messages and posts under their own name, by the words of the ledger. One of config.yaml takes its place."""


class Settings(Part):
    """The whole of config.yaml, checked and typed."""

    workspace: Slug = Field(description="A name for this workspace, like my-shop.")
    database: str = "sqlite:///regulars.db"
    time_zone: Zone = Field(description="The shop's, like Europe/Helsinki.")
    locale: str = "en"
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="Three capital letters, like EUR.")
    public_url: str = Field(
        default="http://127.0.0.1:8025",
        pattern=r"^https?://[^\s]+$",
        description="An address like https://mail.shop.example.",
    )
    secret: SecretRef = Field(description="Write ${env:REGULARS_SECRET}.")
    api_keys: SecretRef | None = None
    postal_address: str = ""
    attributes: Mapping[Slug, AttributeType] = Field(default_factory=dict)
    events: Mapping[Slug, Mapping[Slug, AttributeType]] = Field(default_factory=dict)
    purposes: Mapping[Slug, Purpose] = Field(default_factory=dict)
    providers: Mapping[Slug, Mapping[str, Any]] = Field(default_factory=dict)
    channels: Mapping[Channel, Routes] = Field(default_factory=dict)
    senders: Mapping[Sender, SenderLimits] = Field(
        default_factory=dict,
        description="Limits of a From address or its domain: `{news.shop.example: {rate: 50/second}}`.",
    )
    quiet_hours: Mapping[Channel, QuietHours] = Field(default_factory=dict)
    pressure: tuple[Cap, ...] = ()
    sending: Sending = Sending()
    tracking: Tracking = Tracking()
    answers: Answers = Answers()
    soft_bounces: SoftBounces = SoftBounces()
    prices: Prices = Prices()
    guards: Guards = Guards()

    @property
    def happenings(self) -> Mapping[str, Mapping[str, AttributeType]]:
        """Every event that a rule may ask for, with its properties: those of config.yaml, and what people did with our messages."""
        return {**BUILT_IN_EVENTS, **self.events}

    def route(self, channel: Channel, message_class: MessageClass) -> Route | None:
        """The route of a channel for a class; a channel that names only one class has no route for the other."""
        routes = self.channels.get(channel)
        return routes.of(message_class) if routes else None


def load_settings(folder: Path) -> Settings:
    """Read DIR/config.yaml. Raises WorkspaceError with every problem found, each at its place."""
    try:
        return _read(folder)
    except WorkspaceError as error:
        raise WorkspaceError(error.problems, folder=folder) from error


def _read(folder: Path) -> Settings:
    path = folder / "config.yaml"
    if not path.exists():
        raise WorkspaceError.single(
            Position(file=str(path)),
            "there is no config.yaml here.",
            "Run `regulars init DIR`, or go into a workspace.",
        )
    file = document.read(path, shown_as="config.yaml")
    if not file.roots and file.problems:
        raise WorkspaceError(file.problems)
    settings, mistakes = _typed(file.root)
    problems = [*file.problems, *mistakes]
    for again in file.again:
        problems += again.news(_typed(again.root)[1])
    if settings is None or problems:
        raise WorkspaceError(problems)
    return settings


def _typed(node: document.Node) -> tuple[Settings | None, Sequence[Problem]]:
    try:
        settings = document.validate(Settings, node)
    except WorkspaceError as error:
        return None, error.problems
    return settings, _unresolved(settings, node)


BUILT_IN_ATTRIBUTES: Mapping[str, AttributeType] = {
    "id": AttributeType.TEXT,
    "locale": AttributeType.TEXT,
    "time_zone": AttributeType.TEXT,
    "created_at": AttributeType.TIME,
}
"""Attributes that every customer has without declaring them."""


def _unresolved(settings: Settings, node: document.Node) -> list[Problem]:
    """References inside config.yaml that lead nowhere, and names that are taken."""
    looks = (_strange_providers, _wrong_dispatch, _taken_names, _free_countries, _nameless_vendors)
    return [problem for look in looks for problem in look(settings, node)]


def _strange_providers(settings: Settings, node: document.Node) -> Iterator[Problem]:
    for channel, routes in settings.channels.items():
        for message_class in MessageClass:
            route = routes.of(message_class)
            for path, hop in route.places() if route else ():
                if hop.provider not in settings.providers:
                    yield Problem(
                        at=document.position_of(node, ("channels", channel.value, message_class.value, *path)),
                        what=f'there is no provider "{hop.provider}".',
                        remedy=document.suggestion(hop.provider, settings.providers),
                    )


def _wrong_dispatch(settings: Settings, node: document.Node) -> Iterator[Problem]:
    if settings.sending.dispatch is Dispatch.PROCRASTINATE and not settings.database.startswith("postgresql"):
        yield Problem(
            at=document.position_of(node, ("sending", "dispatch")),
            what="procrastinate works on PostgreSQL alone, and this database is SQLite.",
            remedy="Write `dispatch: threads`, or a `database: postgresql://…`.",
        )


def _taken_names(settings: Settings, node: document.Node) -> Iterator[Problem]:
    if ANSWERS in settings.purposes:
        yield Problem(
            at=document.position_of(node, ("purposes", ANSWERS), key=True),
            what=f'the purpose "{ANSWERS}" is built in.',
            remedy="Give yours another name.",
        )
    for name in BUILT_IN_ATTRIBUTES:
        if name in settings.attributes:
            yield Problem(
                at=document.position_of(node, ("attributes", name), key=True),
                what=f'the attribute "{name}" is built in.',
                remedy="Leave it out: every customer has it.",
            )


def _free_countries(settings: Settings, node: document.Node) -> Iterator[Problem]:
    if settings.guards.spend and settings.channels.get(Channel.SMS) and DEFAULT not in settings.prices.sms:
        yield Problem(
            at=document.position_of(node, ("guards", "spend"), key=True),
            what="money is limited, and SMS to some countries have no price: they would count as free.",
            remedy="Add `default` to prices.sms, like `prices: {sms: {default: 0.08}}`.",
        )


def _nameless_vendors(settings: Settings, node: document.Node) -> Iterator[Problem]:
    for name, definition in settings.providers.items():
        if not definition or "use" not in definition:
            yield Problem(
                at=document.position_of(node, ("providers", name), key=True),
                what=f'the provider "{name}" does not say which vendor it is.',
                remedy="Add `use:` with a vendor's name, like `use: smtp`; docs/channels.md lists them.",
            )


def load_environment(folder: Path) -> None:
    """Read DIR/.env (NAME=value a line) into the process's environment; what is set already stays."""
    path = folder / ".env"
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            os.environ.setdefault(name.strip(), value.strip().strip("'\""))

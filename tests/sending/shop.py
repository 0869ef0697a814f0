"""A small shop for the sender's tests: a real workspace on disk, and a provider that does what the test tells it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from engine.campaigns.launch import launch, trigger
from engine.campaigns.schedules import Occurrence
from engine.clock import SteppedClock
from engine.content.links import Links
from engine.intake import take_customers
from engine.model import Channel, State
from engine.provider import Accepted, Capabilities, Http, Outcome, Outgoing, Provider, ProviderSettings
from engine.rules.workspace import load_workspace
from engine.sending.prepare import Setup
from engine.sending.sender import Sender
from engine.store import Database
from engine.store.tables import messages

CONFIG = """
workspace: shop
time_zone: Europe/Helsinki
secret: ${env:REGULARS_SECRET}
postal_address: Street 1, Helsinki
attributes: {first_name: text}
events: {purchase: {amount: number}}
purposes:
  offers: {title: Offers, consent: opt_in}
  service: {title: Service, consent: none}
providers:
  scripted: {use: file, folder: outbox}
channels:
  email:
    commercial: {provider: scripted, from: Shop <news@shop.example>}
    transactional: {provider: scripted, from: Shop <orders@shop.example>}
sending: {threads: 3, batch: 4, deadline: 2 seconds, lease: 60 seconds, max_attempts: 3}
"""
NEWS = """
campaign: news
audience: {id: {present: true}}
schedule: {cron: "0 12 * * *"}
channel: email
class: commercial
purpose: offers
goal: {event: purchase, within: 14 days, value: amount}
reentry: always
"""
POST = """
campaign: post
audience: public
schedule: {cron: "0 12 * * *"}
channel: social
class: commercial
purpose: offers
goal: {event: purchase, within: 14 days}
"""
RECEIPT = """
campaign: receipt
trigger: {data: {order: text}}
channel: email
class: transactional
purpose: service
"""


class Scripted(Provider):
    """Ends each hand-over as the test's function says; `taken` is the record of everything that reached it."""

    def __init__(
        self,
        answer: Callable[[Outgoing], Outcome],
        idempotency_window: timedelta | None = None,
        connections: int = 8,
        settle_time: timedelta | None = None,
    ) -> None:
        super().__init__(ProviderSettings(connections=connections), http=Http())
        self.answer, self.taken, self._lock = answer, list[Outgoing](), threading.Lock()
        self.capabilities = Capabilities(
            channel=Channel.EMAIL,
            html=True,
            headers=True,
            idempotency_window=idempotency_window,
            settle_time=settle_time,
        )

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        with self._lock:
            self.taken.append(outgoing)
        return self.answer(outgoing)


class TickingClock(SteppedClock):
    """Time passes between one look at the clock and the next, as it does in truth."""

    def now(self) -> datetime:
        self.set(super().now() + timedelta(milliseconds=1))
        return super().now()


class Shop:
    """The workspace, its customers c1 … cN (all opted in), a stepped clock and a sender with a scripted provider."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        clock: SteppedClock,
        *,
        customers: int = 9,
        rows: list[dict[str, Any]] | None = None,
    ) -> None:
        files = {"config.yaml": CONFIG, "rules/news.yaml": NEWS, "rules/receipt.yaml": RECEIPT}
        files |= {
            "templates/news/email.subject.txt": "News for {{ customer.first_name | default('you') }}",
            "templates/news/email.txt": "Hello {{ customer.first_name }}, unsubscribe: {{ links.unsubscribe }}. {{ postal_address }}",
            "templates/receipt/email.subject.txt": "Order {{ data.order }}",
            "templates/receipt/email.txt": "Thank you for order {{ data.order }}.",
        }
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        self.folder, self.database, self.clock = folder, database, clock
        self.workspace = load_workspace(folder)
        self.provider = Scripted(lambda outgoing: Accepted(provider_message_id=outgoing.key))
        people = rows or [
            {
                "id": f"c{n}",
                "email": f"c{n}@customers.example",
                "first_name": f"Customer {n}",
                "consent.email.offers": "yes",
            }
            for n in range(1, customers + 1)
        ]
        with database.writing() as connection:
            taken = take_customers(
                connection, database, self.workspace.settings, people, now=clock.now(), proof="asked at the till"
            )
        assert not [one.reason for one in taken if one.reason]

    def setup(self, name: str = "scripted") -> Setup:
        links = Links("secret", "https://shop.example")
        return Setup(workspace=self.workspace, providers={name: self.provider}, links=links)

    def sender(self, name: str = "scripted") -> Sender:
        setup = self.setup(name)
        return Sender(setup=lambda: setup, database=self.database, clock=self.clock)

    def launch(self, key: str = "today") -> int:
        now = self.clock.now()
        return launch(
            self.workspace,
            self.database,
            self.workspace.campaigns["news"],
            Occurrence(key=key, nominal_at=now),
            now=now,
        ).owed

    def trigger(self, customer: str, key: str) -> None:
        """A receipt for an order."""
        with self.database.writing() as connection:
            trigger(
                self.workspace, connection, self.database, "receipt",
                customer=customer, data={"order": key}, occurrence=key, now=self.clock.now(),
            )  # fmt: skip

    def pass_time(self, **span: float) -> None:
        self.clock.set(self.clock.now() + timedelta(**span))

    def states(self) -> list[State]:
        return [State(row.state) for row in self.rows()]

    def rows(self) -> Any:
        with self.database.reading() as connection:
            return connection.execute(select(messages).order_by(messages.c.id)).all()

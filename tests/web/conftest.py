"""A small shop behind an HTTP door: a real workspace folder, a real database, a vendor that signs, a clock that stands."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, func, insert, select, update
from starlette.testclient import TestClient

from engine.clock import SteppedClock
from engine.content.links import Links
from engine.errors import ForgedWebhook
from engine.model import Channel, EventName
from engine.provider import Accepted, Capabilities, Http, Outcome, Outgoing, Provider, ProviderEvent, Webhook
from engine.rules.workspace import Workspace, load_workspace
from engine.store import Database
from engine.store.tables import consents, contact_points, events, links, messages
from engine.web.app import create_app
from engine.web.door import Door
from tests.conftest import NOW, SECRET

KEY, OTHER_KEY = "key-of-the-checkout-3f9a", "key-of-the-crm-77b1"
PUBLIC = "https://shop.example/regulars"

CONFIG = """
workspace: records
time_zone: Europe/Helsinki
public_url: https://shop.example/regulars
secret: ${env:REGULARS_SECRET}
api_keys: ${env:REGULARS_API_KEYS}
postal_address: Records, Example Street 1, Helsinki
attributes: {first_name: text}
events:
  purchase: {amount: number}
purposes:
  offers: {title: "Offers & <news>", consent: opt_in}
  service: {title: Receipts, consent: none}
providers:
  outbox: {use: file, folder: outbox}
channels:
  email:
    commercial: {provider: outbox, from: hello@shop.example}
    transactional: {provider: outbox, from: receipts@shop.example}
"""

FILES = {
    "config.yaml": CONFIG,
    "rules/receipt.yaml": """
campaign: receipt
description: The receipt
trigger: {data: {order: text, amount: number}}
channel: email
class: transactional
purpose: service
""",
    "rules/welcome.yaml": """
campaign: welcome
description: An offer after sign-up
trigger: {data: {}}
channel: email
class: commercial
purpose: offers
template: receipt
goal: {event: purchase, within: 14 days}
""",
    "rules/weekly.yaml": """
campaign: weekly
description: News every Monday
audience: everybody
schedule: {cron: "0 10 * * mon"}
channel: email
class: commercial
purpose: offers
template: receipt
goal: {event: purchase, within: 14 days}
""",
    "rules/segments.yaml": """
segments:
  everybody:
    description: Whoever bought
    who: {did: purchase}
""",
    "templates/receipt/email.subject.txt": "Your order",
    "templates/receipt/email.txt": "Thank you. {{ links.unsubscribe }} {{ postal_address }}",
    "templates/receipt/email.html": "<p>Thank you. <a href='{{ links.unsubscribe }}'>x</a> {{ postal_address }}</p>",
}


class Signing(Provider):
    """A vendor whose webhooks are signed over URL and body, as Twilio's are."""

    capabilities = Capabilities(channel=Channel.EMAIL, webhooks=True)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        return Accepted()

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        if not hmac.compare_digest(webhook.headers.get("x-signature", ""), sign(webhook.url, webhook.body)):
            raise ForgedWebhook("the signature does not fit", where="X-Signature")
        told = json.loads(webhook.body) if webhook.body.startswith(b"[") else []
        return [
            ProviderEvent(
                name=EventName(one["name"]),
                at=now if one.get("zone", True) else now.replace(tzinfo=None),
                dedupe=one["id"],
                message_key=one.get("key"),
                provider_message_id=one.get("number"),
            )
            for one in told
        ]


def sign(url: str, body: bytes) -> str:
    return hmac.new(b"vendor's secret", url.encode() + body, hashlib.sha256).hexdigest()


@dataclass(kw_only=True)
class Shop:
    """What a test needs of the shop: its door, a browser or program before it, and looks into the ledger behind it."""

    door: Door
    client: TestClient
    clock: SteppedClock
    woken: list[datetime] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.door.database

    def post(self, path: str, body: Any, *, key: str | None = None, api_key: str = KEY) -> Any:
        headers = {"Authorization": f"Bearer {api_key}"} | ({"Idempotency-Key": key} if key else {})
        return self.client.post(path, json=body, headers=headers)

    def get(self, path: str) -> Any:
        return self.client.get(path, headers={"X-Api-Key": KEY})

    def order(self, customer: str = "c1", **more: Any) -> dict[str, Any]:
        """A trigger's body, bringing the customer along."""
        return {
            "customer": {"id": customer, "email": f"{customer}@mail.example", **more},
            "data": {"order": "4711", "amount": 29.9},
        }

    def count(self, table: Any, *where: Any) -> int:
        with self.database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())

    def rows(self, table: Any, *where: Any) -> list[Any]:
        with self.database.reading() as connection:
            return list(connection.execute(select(table).where(*where).order_by(table.c.id)).mappings())

    def sent(self, customer: str = "c1", campaign: str = "welcome") -> int:
        """A message that the provider has accepted one minute ago."""
        body = self.order(customer) | ({"data": {}} if campaign == "welcome" else {})
        message = int(self.post(f"/v1/trigger/{campaign}", body).json()["message"])
        then = self.clock.now() - timedelta(minutes=1)
        with self.database.writing() as connection:
            owner = select(messages.c.customer_id).where(messages.c.id == message).scalar_subquery()
            point = connection.execute(
                select(contact_points.c.id).where(contact_points.c.customer_id == owner)
            ).scalar_one()
            connection.execute(
                update(messages)
                .where(messages.c.id == message)
                .values(
                    state="accepted",
                    attempts=1,
                    provider="signing",
                    contact_point_id=point,
                    sent_to=f"{customer}@mail.example",
                    first_sent_at=then,
                    accepted_at=then,
                )
            )
        return message

    def link(self, url: str) -> int:
        """A URL as rendering stores it."""
        with self.database.writing() as connection:
            return int(connection.execute(insert(links).values(url=url).returning(links.c.id)).scalar_one())

    def opt_outs(self) -> int:
        return self.count(consents, consents.c.status == "opted_out")

    def engagements(self, name: str) -> list[dict[str, Any]]:
        return [dict(row["properties"]) for row in self.rows(events, events.c.name == name)]


def path_of(url: str) -> str:
    """The path that reaches this process once the proxy has taken the public URL's own path away."""
    return url.removeprefix(PUBLIC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGULARS_API_KEYS", f"{KEY}, {OTHER_KEY}")
    folder = tmp_path / "shop"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"), encoding="utf-8")
    return folder


@pytest.fixture
def workspace(folder: Path) -> Workspace:
    return load_workspace(folder)


@pytest.fixture
def shop(workspace: Workspace, database: Database) -> Shop:
    return open_shop(workspace, database)


def without_database(shop: Shop) -> TestClient:
    """The same door, whose database cannot be reached."""
    away = Database(pool=create_engine("sqlite:////nowhere/at/all.db"), ledger="x", pepper=b"")
    return TestClient(create_app(replace(shop.door, database=away)), follow_redirects=False)


def open_shop(workspace: Workspace, database: Database, *, wake: Callable[[], None] | None = None) -> Shop:
    """A shop's door, with a bell of the test's own where it needs one."""
    clock, woken = SteppedClock(NOW), []
    door = Door(
        workspace=lambda: workspace,
        database=database,
        clock=clock,
        providers=lambda: {"signing": Signing(Signing.Settings(), http=Http())},
        links=Links(SECRET, PUBLIC),
        wake=wake or (lambda: woken.append(clock.now())),
    )
    return Shop(door=door, client=TestClient(create_app(door), follow_redirects=False), clock=clock, woken=woken)

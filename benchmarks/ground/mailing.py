"""A mailing to any number of people: a workspace with a personalised email of about 7 KB, its customers, and its daemon's sender."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine.campaigns.launch import Launch, launch
from engine.campaigns.schedules import Occurrence
from engine.clock import WallClock
from engine.content.links import Links
from engine.provider import Provider
from engine.rules.workspace import load_workspace
from engine.sending.prepare import Setup
from engine.sending.sender import Sender
from engine.store import Database, open_database
from engine.store.tables import consents, contact_points, customers, microseconds

SECRET = "a secret of the benchmark, long enough"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHUNK = 20_000

_STYLE = "font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:24px;color:#1f2933"
_ROW = (
    f'<tr><td style="{_STYLE};padding:12px 24px"><h3 style="margin:0">Record number {{n}}</h3>\n'
    f'<p style="margin:0;{_STYLE}">Pressed slowly, and packed by hand for {{{{{{{{ customer.city }}}}}}}}.</p>\n'
    f'<a href="https://shop.example/records/{{n}}" style="display:inline-block;padding:10px 20px;{_STYLE}">See it</a></td></tr>\n'
)
HTML = (
    f'<!doctype html><html><body style="margin:0;{_STYLE}"><table width="600">\n'
    "<tr><td><h1>Good morning, {{ customer.first_name }}</h1></td></tr>\n"
    + "".join(_ROW.format(n=number).replace("{{{{", "{{").replace("}}}}", "}}") for number in range(11))
    + '</table><p style="font-size:12px">{{ postal_address }} · <a href="{{ links.unsubscribe }}">Unsubscribe</a></p>\n'
    "</body></html>\n"
)
TEXT = "Eleven new records are here. Reply STOP to hear no more of them."
FILES = {
    "rules/news.yaml": """
campaign: news
audience: {id: {present: true}}
schedule: {cron: "0 12 * * *"}
channel: email
class: commercial
purpose: offers
goal: {event: purchase, within: 14 days, value: amount}
reentry: always
""",
    "rules/receipt.yaml": """
campaign: receipt
trigger: {data: {order: text}}
channel: email
class: transactional
purpose: service
""",
    "templates/news/email.subject.txt": "New records for {{ customer.first_name }}",
    "templates/news/email.html": HTML,
    "templates/news/email.txt": "Good morning, {{ customer.first_name }}.\nEleven new records are here.\n"
    "{{ postal_address }}\nUnsubscribe: {{ links.unsubscribe }}\n",
    "templates/news/sms.txt": TEXT + " {{ links.unsubscribe }}",
    "templates/receipt/email.subject.txt": "Order {{ data.order }}",
    "templates/receipt/email.txt": "Thank you for order {{ data.order }}.\n",
}
CONFIG = {
    "workspace": "mailing",
    "time_zone": "Europe/Helsinki",
    "secret": "${env:REGULARS_SECRET}",
    "api_keys": "${env:REGULARS_API_KEYS}",
    "postal_address": "Street 1, Helsinki",
    "attributes": {"first_name": "text", "city": "text"},
    "events": {"purchase": {"amount": "number"}},
    "purposes": {"offers": {"consent": "opt_in"}, "service": {"consent": "none"}},
}
SENDERS = {
    "email": ("Shop <news@shop.example>", "Shop <orders@shop.example>"),
    "sms": ("+15005550006", "+15005550006"),
}


def workspace(
    folder: Path,
    provider: Mapping[str, Any],
    *,
    database: str,
    sending: Mapping[str, Any],
    channel: str = "email",
    receipts: Mapping[str, Any] | None = None,
) -> Path:
    """Write the workspace; its provider is called `relay`, and a second one, for receipts alone, `receipts`."""
    os.environ["REGULARS_SECRET"] = SECRET
    names = ("relay", "receipts" if receipts else "relay")
    routes = zip(("commercial", "transactional"), names, SENDERS[channel], strict=True)
    config = {
        **CONFIG,
        "database": database,
        "providers": {"relay": provider, **({"receipts": receipts} if receipts else {})},
        "sending": sending,
        "channels": {channel: {each: {"provider": name, "from": sender} for each, name, sender in routes}},
    }
    files = {**FILES, "config.yaml": json.dumps(config, indent=1)}  # JSON is YAML
    files = {name: text.replace("channel: email", f"channel: {channel}") for name, text in files.items()}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def fill(folder: Path, count: int) -> None:
    """People in the workspace's database, which is made where it is not there."""
    settings = load_workspace(folder).settings
    database = open_database(settings.database, secret=SECRET, folder=folder)
    people(database, count)
    database.close()


def people(database: Database, count: int) -> None:
    """So many customers with an email address and a telephone number each, who all agreed to offers on both."""
    rows = {
        customers: lambda n: (n, f"C{n}", json.dumps({"first_name": f"Ana {n}", "city": "Turku"})),
        contact_points: lambda n: _point(database, n),
        consents: lambda n: (n, n, "offers", "opted_in", "import", ""),
    }
    columns = {
        customers: ("id", "external_id", "attributes", "created_at"),
        contact_points: ("id", "customer_id", "channel", "address", "address_hash", "created_at"),
        consents: ("id", "contact_point_id", "purpose", "status", "source", "proof", "at"),
    }
    at = NOW if database.dialect == "postgresql" else microseconds(NOW)
    for table, row in rows.items():
        last = count if table is customers else 2 * count
        for first in range(1, last + 1, CHUNK):
            chunk = ((*row(n), at) for n in range(first, min(first + CHUNK, last + 1)))
            with database.writing() as connection:
                _insert(connection, table, columns[table], chunk)
    with database.pool.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if database.dialect == "postgresql" else "ANALYZE")


def _point(database: Database, number: int) -> tuple[Any, ...]:
    """The number's contact point: odd ones are addresses, even ones telephones."""
    customer = (number + 1) // 2
    channel, address = ("email", f"c{customer}@customers.example") if number % 2 else ("sms", f"+3584{customer:08}")
    return number, customer, channel, address, database.address_hash(address)


def _insert(connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Any) -> None:
    if connection.dialect.name == "postgresql":
        with connection.connection.cursor().copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    marks = ", ".join("?" for _ in names)
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", list(rows))


class Mailing:
    """An opened workspace with one provider, given or of its config.yaml, and its sender."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        self.workspace = load_workspace(folder)
        self.database = open_database(self.workspace.settings.database, secret=SECRET, folder=folder)
        links = Links(SECRET, "https://shop.example")
        self.setup = Setup(workspace=self.workspace, providers={"relay": provider}, links=links)
        self.sender = Sender(setup=lambda: self.setup, database=self.database, clock=WallClock())

    def launch(self, key: str) -> Launch:
        now = datetime.now(UTC)
        campaign = self.workspace.campaigns["news"]
        return launch(self.workspace, self.database, campaign, Occurrence(key=key, nominal_at=now), now=now)

    def close(self) -> None:
        self.sender.stop()
        self.database.close()

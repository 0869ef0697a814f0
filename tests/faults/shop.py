"""The workspace of a trial: two marketing letters to everybody and a receipt to some, all due at once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.campaigns.launch import launch_due
from engine.intake import take_customers
from engine.ledger.schedules import launched_until
from engine.rules.workspace import load_workspace
from engine.store import Database, open_database
from tests.faults.courier import Kind
from tests.faults.vendor import API_KEY

SECRET = "the-workspaces-own-secret-for-faults"
CALLER = "the-key-of-who-may-call-the-door"
ENVIRONMENT: Mapping[str, str] = {"REGULARS_SECRET": SECRET, "COURIER_KEY": API_KEY, "REGULARS_API_KEYS": CALLER}
LEASE, DEADLINE = 2, 1
RESOLVE_WINDOW: Mapping[Kind, int] = {Kind.BLIND: 4, Kind.RECONCILABLE: 600, Kind.IDEMPOTENT: 600}
"""Seconds: short, so that a trial is over soon. Where there will be evidence, it is waited for."""
THREADS, CONNECTIONS, BATCH = 3, 4, 12
RECEIPTS = 5
"""Every fifth customer gets the receipt too."""

CONFIG = """
workspace: shop
database: {database}
time_zone: Etc/UTC
secret: ${{env:REGULARS_SECRET}}
api_keys: ${{env:REGULARS_API_KEYS}}
postal_address: Example Records, 1 Example Street
public_url: {public_url}
attributes: {{first_name: text, buys: boolean}}
events: {{purchase: {{amount: number}}}}
purposes:
  offers: {{title: Offers, consent: opt_in}}
  service: {{title: Service, consent: none}}
providers:
  courier: {{use: courier, kind: {kind}, base_url: "{vendor}", api_key: "${{env:COURIER_KEY}}", connections: {connections}{more}}}
  other: {{use: courier, kind: {kind}, base_url: "{other}", api_key: "${{env:COURIER_KEY}}", connections: {connections}}}
channels:
  email:
    commercial: {{provider: {commercial}, from: Example Records <news@shop.example>}}
    transactional: {{provider: courier, from: Example Records <receipts@shop.example>}}
prices: {{email: 0.0004}}
guards: {{spend: {{a_run: 1000, a_day: 1000}}}}
sending:
  dispatch: {dispatch}
  threads: {threads}
  batch: {batch}
  deadline: {deadline} seconds
  lease: {lease} seconds
  resolve_window: {resolve_window} seconds
  max_attempts: 20
"""
NEWS = """
campaign: news
audience: {{first_name: {{present: true}}}}
schedule: {{at: {at}}}
channel: email
class: commercial
purpose: offers
goal: {{event: purchase, within: 14 days, value: amount}}
"""
EXTRA = NEWS.replace("campaign: news", "campaign: extra\ntemplate: news")
"""A second letter to everybody, so that who leaves after the first must not get it."""
RECEIPT = """
campaign: receipt
audience: {{buys: true}}
schedule: {{at: {at}}}
channel: email
class: transactional
purpose: service
delivery: at_least_once
"""
ORDER = """
campaign: order
template: receipt
trigger: {{data: {{order: text}}}}
channel: email
class: transactional
purpose: service
"""
"""Started by calls at the door, see `readers`."""
CAMPAIGNS = {"news": NEWS, "extra": EXTRA, "receipt": RECEIPT}
TEMPLATES = {
    "news/email.subject.txt": "News for {{ customer.first_name }}",
    "news/email.txt": "Hello {{ customer.first_name }}, leave: {{ links.unsubscribe }}. {{ postal_address }}",
    "receipt/email.subject.txt": "Thank you, {{ customer.first_name }}",
    "receipt/email.txt": "We thank you for your order.",
}
ENTRY_POINT = {
    "METADATA": "Metadata-Version: 2.1\nName: courier\nVersion: 1.0\n",
    "entry_points.txt": "[regulars.providers]\ncourier = tests.faults.courier:Courier\n",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where things are: the database's URL, the vendor's as the daemon sees it, and the daemon's own HTTP door.

    other: a vendor for the marketing letters alone, where there is one. dispatch: how senders learn what is due.
    """

    database: str
    vendor: str
    public_url: str
    other: str = ""
    dispatch: str = "threads"


def write(folder: Path, kind: Kind, at: Address, **settings: object) -> None:
    """The workspace's files, with both campaigns due now. `settings` are further ones of the courier."""
    more = "".join(f", {name}: {str(value).lower()}" for name, value in settings.items())
    config = CONFIG.format(
        database=at.database,
        public_url=at.public_url,
        vendor=at.vendor,
        kind=kind.value,
        more=more,
        dispatch=at.dispatch,
        other=at.other or at.vendor,
        commercial="other" if at.other else "courier",
        threads=THREADS,
        connections=CONNECTIONS,
        batch=BATCH,
        lease=LEASE,
        deadline=DEADLINE,
        resolve_window=RESOLVE_WINDOW[kind],
    )
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    rules = {f"rules/{name}.yaml": text.format(at=now) for name, text in {**CAMPAIGNS, "order": ORDER}.items()}
    templates = {f"templates/{name}": text for name, text in TEMPLATES.items()}
    for name, text in {"config.yaml": config, **rules, **templates}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def plugin(folder: Path) -> Path:
    """A folder for PYTHONPATH that makes the courier an installed package's provider."""
    package = folder / "courier-1.0.dist-info"
    package.mkdir(parents=True, exist_ok=True)
    for name, text in ENTRY_POINT.items():
        (package / name).write_text(text, encoding="utf-8")
    return folder


def open_books(url: str) -> Database:
    """The trial's database, for looking on."""
    return open_database(url, secret=SECRET)


def welcome(folder: Path, database: Database, customers: int) -> int:
    """Bring in the customers; how many messages the campaigns will owe."""
    rows = [
        {
            "id": f"c{number}",
            "email": f"reader.{number}@customers.example",
            "first_name": f"Reader{number}",
            "buys": number % RECEIPTS == 0,
            "consent.email.offers": "yes",
        }
        for number in range(1, customers + 1)
    ]
    settings, now = load_workspace(folder).settings, datetime.now(UTC)
    for campaign in CAMPAIGNS:  # what fell due before a campaign became known is nobody's debt
        launched_until(database, campaign, now=now)
    long_since = now - timedelta(days=1)  # a clock that is set back must not come before it
    with database.writing() as connection:
        take_customers(connection, database, settings, rows, now=long_since, proof="for the trial")
    return 2 * customers + customers // RECEIPTS


def launch(folder: Path, database: Database) -> None:
    """Owe all messages at once, for senders that launch nothing themselves."""
    launch_due(load_workspace(folder), database, now=datetime.now(UTC))


def forget(folder: Path) -> None:
    """Remove a trial's folder."""
    shutil.rmtree(folder, ignore_errors=True)

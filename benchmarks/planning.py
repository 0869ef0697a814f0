"""How long the plan of twenty campaigns takes: every audience, every gate, every message rendered, with its price.

    python benchmarks/planning.py [--customers 100000] [--events 1000000] [--on sqlite] [--on postgresql] [--data DIR]

The shop of benchmarks/segments.py, with addresses, consents and a run of each campaign behind it, is made once and kept in
--data. Prints JSON lines: the machine; for each database the whole plan (median of --repeat), how many people were asked
about, and how much the memory grew meanwhile; then the slowest campaigns by themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import func, select

from benchmarks.ground import server
from benchmarks.ground.crowd import NEWSLETTERS, NOW, tidy
from benchmarks.ground.machine import machine, peak_megabytes
from benchmarks.segments import shop
from engine.campaigns.launch import launch
from engine.campaigns.schedules import Occurrence
from engine.questions.plan import plan
from engine.rules.workspace import Workspace, load_workspace
from engine.store import Database
from engine.store.tables import runs

ALLOWED_SECONDS = 30.0
CHUNK = 20_000
SHOP = Path(__file__).parent / "shop" / "config.yaml"
CONFIG = """
postal_address: Street 1, Helsinki
purposes: {offers: {title: Offers, consent: opt_in}}
providers: {box: {use: file, folder: outbox}, screen: {use: console, channel: sms}}
channels:
  email: {commercial: {provider: box, from: Shop <news@shop.example>}}
  sms: {commercial: {provider: screen, from: "+15005550006"}}
quiet_hours: {sms: {from: "21:00", to: "09:00"}}
pressure: [{at_most: 1, within: 20 hours}, {at_most: 2, within: 7 days}]
prices: {sms: {FI: 0.05, SE: 0.06, default: 0.08}, email: 0.0004}
"""
WHO = (
    "{all: [{did: purchase, times: {at_least: 2}}, {not: {did: purchase, within: 90 days}}]}",
    "{all: [{country: {in: [FI, SE]}}, {did: purchase, times: {at_least: 3}}, {not: {did: purchase, within: 180 days}}]}",
    "{all: [{did: purchase, times: {at_least: 3}}, {did: purchase, sum: {of: amount, at_least: 150}, within: 365 days}]}",
    "{all: [{did: purchase, times: {is: 1}}, {did: purchase, last: {before: 30 days ago}}]}",
    "{all: [{vip: true}, {not: {did: visit, within: 30 days}}]}",
    "{all: [{city: Helsinki}, {points: {at_least: 2000}}]}",
    "{did: complaint, within: 90 days}",
    "{all: [{interests: {contains: jazz}}, {country: {in: [DK, FI, IS, NO, SE]}}, {did: purchase, where: {category: jazz}}]}",
    "{all: [{did: review, where: {stars: {at_least: 5}}}, {did: purchase, within: 60 days}]}",
    "{all: [{birthday: {before: 1960-01-01}}, {any: [{country: DE}, {country: FR}]}, {did: purchase, within: 365 days}]}",
)
CAMPAIGN = """
campaign: {name}
template: {template}
audience: {who}
schedule: {{cron: "0 {hour} * * *"}}
channel: {channel}
class: commercial
purpose: offers
goal: {{event: purchase, within: 14 days, value: amount}}
reentry: {reentry}
not_later_than: 1 day
"""
TEMPLATES = {
    "mail/email.subject.txt": "{{ customer.first_name | default('Dear customer') }}, we miss you",
    "mail/email.txt": "Hello {{ customer.first_name | default('you') }} in {{ customer.city | default('your town') }},\n\n"
    "the shelves have changed.\n\n{{ links.unsubscribe }}\n{{ postal_address }}",
    "mail/email.html": "<p>Hello {{ customer.first_name | default('you') }},</p>"
    + "<p>the shelves have changed.</p>" * 40
    + "<p><a href='{{ links.unsubscribe }}'>Unsubscribe</a></p><p>{{ postal_address }}</p>",
    "mail/fi/email.txt": "Hei {{ customer.first_name | default('sinä') }},\n\n{{ links.unsubscribe }}\n{{ postal_address }}",
    "text/sms.txt": "Hi {{ customer.first_name | default('there') }}, {{ customer.points | default(0) | number }} points"
    " wait for you until the end of the month. Reply STOP to leave.",
}


def workspace(folder: Path) -> Workspace:
    """Twenty campaigns: ten audiences, by email and by SMS, with and without re-entry."""
    files = {"config.yaml": SHOP.read_text(encoding="utf-8") + CONFIG}
    files |= {f"templates/{name}": text for name, text in TEMPLATES.items()}
    for number, who in enumerate(WHO):
        for channel, template in (("email", "mail"), ("sms", "text")):
            name = f"c{number}-{channel}"
            reentry = ("always", "{after: 30 days}", "never")[number % 3]
            text = CAMPAIGN.format(
                name=name, template=template, who=who, hour=8 + number, channel=channel, reentry=reentry
            )
            files[f"rules/{name}.yaml"] = text
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return load_workspace(folder)


def history(workspace: Workspace, database: Database) -> None:
    """Every campaign was launched a fortnight ago."""
    then = NOW - timedelta(days=14)
    for campaign in workspace.campaigns.values():
        launch(workspace, database, campaign, Occurrence(key="then", nominal_at=then), now=then)
    tidy(database)


@contextmanager
def opened(kind: str, folder: Path, workspace: Workspace, people: int, happened: int) -> Iterator[Database]:
    with shop(kind, folder, people, happened) as database:
        with database.reading() as connection:
            launched = connection.execute(select(func.count()).select_from(runs)).scalar_one()
        if launched <= len(NEWSLETTERS):
            began = time.perf_counter()
            history(workspace, database)
            say(kind, what="launched", seconds=round(time.perf_counter() - began, 1))
        yield database


def measured(kind: str, planned: Workspace, database: Database, repeat: int) -> None:
    before, taken = peak_megabytes(), []
    for _ in range(repeat):
        began = time.perf_counter()
        told = plan(planned, database, now=NOW)
        taken.append(time.perf_counter() - began)
    asked = sum(one.audience or 0 for one in told.campaigns)
    seconds = statistics.median(taken)
    say(
        kind,
        what="plan",
        campaigns=len(told.campaigns),
        people=asked,
        sent=sum(one.sent for one in told.campaigns),
        seconds=round(seconds, 2),
        allowed=ALLOWED_SECONDS,
        microseconds_a_person=round(seconds / max(asked, 1) * 1e6, 1),
        memory_grew_mb=round(peak_megabytes() - before, 1),
    )
    alone = {}
    for one in told.campaigns:
        began = time.perf_counter()
        plan(planned, database, now=NOW, campaign=one.campaign)
        alone[one.campaign] = (round(time.perf_counter() - began, 2), one.audience)
    slowest = sorted(alone.items(), key=lambda item: -item[1][0])[:5]
    say(kind, what="slowest", campaigns={name: {"seconds": each[0], "people": each[1]} for name, each in slowest})


def say(kind: str, **facts: object) -> None:
    print(json.dumps({"on": kind, **facts}), flush=True)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--customers", type=int, default=100_000)
    asked.add_argument("--events", type=int, default=1_000_000)
    asked.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "regulars-benchmark")
    asked.add_argument("--on", choices=("sqlite", "postgresql"), action="append")
    asked.add_argument("--repeat", type=int, default=3)
    given = asked.parse_args()
    os.environ.setdefault("REGULARS_SECRET", "benchmark")
    print(json.dumps(machine()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        planned = workspace(Path(folder))
        for kind in given.on or ("sqlite", "postgresql"):
            if kind == "postgresql" and server.binaries() is None:
                say(kind, what="left out", why="no PostgreSQL server is installed")
                continue
            with opened(kind, given.data, planned, given.customers, given.events) as database:
                measured(kind, planned, database, given.repeat)


if __name__ == "__main__":
    main()

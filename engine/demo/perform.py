"""The play: a year and a half of the shop on a stepped clock, every message through real sockets, and what was recorded."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine import shipped
from engine.daemon import Installation, Stepped
from engine.demo import workspace
from engine.demo.checkout import Checkout
from engine.demo.crowd import Crowd, Wires
from engine.demo.habits import Deed
from engine.demo.people import Person, customer_rows, people
from engine.demo.purchases import SHOP_ZONE, Purchase, event_rows, read_purchases
from engine.demo.rows import write_csv
from engine.demo.vendors import Vendors, opened_vendors
from engine.errors import RegularsError
from engine.intake import Imported, import_customers, import_events
from engine.measure.report import Report, report
from engine.testing.vendors import closed_port
from engine.web.app import create_app
from engine.web.door import Door
from engine.web.server import Background

START, END = datetime(1997, 1, 1, tzinfo=SHOP_ZONE), datetime(1998, 7, 1, tzinfo=SHOP_ZONE)
RECEIPTS_FROM = datetime(1998, 6, 1, tzinfo=SHOP_ZONE)
"""From then on the checkout asks for receipts."""

HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """How far the play is: the instant of its clock, how messages ended so far, and what people did about them."""

    now: datetime
    messages: Counter[str]
    opened: int
    clicked: int
    left: int
    receipts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What the play leaves: its workspace, the report as of its end, the vendors' own records, and the seconds it took."""

    folder: Path
    report: Report
    vendors: Vendors
    seconds: float


def perform(folder: Path, *, tell: Callable[[Moment], None] = lambda moment: None, every: int = 1) -> Played:
    """Play it in a new workspace at `folder`, with every so many-th customer of the file alone.

    Raises RegularsError where the folder is not empty.
    """
    began = time.monotonic()
    rows = read_purchases(shipped.cdnow() / "CDNOW_sample.txt")
    purchases = [purchase for purchase in rows if purchase.customer % every == 0]
    everybody = people(purchase.customer for purchase in purchases)
    secrets = workspace.new_secrets()
    with ExitStack() as stack:
        vendors = stack.enter_context(opened_vendors(secrets))
        door = _build(folder, vendors, secrets)
        wires = Wires(door)
        stack.callback(wires.close)
        crowd = Crowd(vendors, wires, {one.phone: one.number for one in everybody if one.phone})
        asked = [purchase for purchase in purchases if purchase.at >= RECEIPTS_FROM]
        checkout = Checkout(asked, wires, secrets["DEMO_API_KEYS"])
        daemon = Stepped(folder, start=START, end=END.astimezone(UTC), others=(checkout, crowd))
        stack.callback(daemon.installation.close)
        _take_in(daemon.installation, purchases, everybody)
        stack.enter_context(_opened_door(daemon.installation, door))
        daemon.run(on_step=lambda now: tell(_moment(now, daemon, crowd, checkout)))
        books = report(daemon.installation.database, now=daemon.clock.now())
    workspace.quieten(folder)
    return Played(folder=folder, report=books, vendors=vendors, seconds=time.monotonic() - began)


def _build(folder: Path, vendors: Vendors, secrets: dict[str, str]) -> str:
    """Make the workspace, put its secrets into this process's environment; where its HTTP door will be."""
    door = f"http://{HOST}:{closed_port()}"
    environment = {**secrets, "DEMO_SENDGRID_WEBHOOK_KEY": vendors.sendgrid.public_key}
    stand_ins = workspace.StandIns(
        door=door,
        smtp_port=vendors.smtp.port,
        sendgrid=vendors.sendgrid.url,
        twilio=vendors.twilio.url,
        mastodon=vendors.mastodon.url,
    )
    workspace.build(folder, stand_ins, environment)
    os.environ.update(environment)
    return door


def _take_in(installation: Installation, purchases: Sequence[Purchase], everybody: Iterable[Person]) -> None:
    """Write the customers and their purchases into files and import them, as one would by hand.

    All purchases are there from the start: an event later than the clock does not count until the clock is there.
    """
    since: dict[int, datetime] = {}
    for purchase in purchases:
        since.setdefault(purchase.customer, purchase.at)
    settings, database = installation.setup.workspace.settings, installation.database
    folder, now = installation.folder, installation.clock.now()
    customers = write_csv(folder / "customers.csv", customer_rows(everybody, since))
    _whole(import_customers(customers, settings=settings, database=database, now=now))
    events = write_csv(folder / "purchases.csv", event_rows(purchases))
    _whole(import_events(events, settings=settings, database=database, now=now))


def _whole(imported: Imported) -> None:
    if imported.rejected:
        raise RegularsError(f"{imported.rejected} rows of the demo were rejected", where=str(imported.rejects))


def _opened_door(installation: Installation, url: str) -> Background:
    door = Door(
        workspace=lambda: installation.setup.workspace,
        database=installation.database,
        clock=installation.clock,
        providers=lambda: installation.setup.providers,
        links=installation.setup.links,
        wake=lambda: None,  # the stepped daemon looks by itself after everybody acted
    )
    return Background(create_app(door), HOST, int(url.rpartition(":")[2]))


def _moment(now: datetime, daemon: Stepped, crowd: Crowd, checkout: Checkout) -> Moment:
    done = crowd.done
    return Moment(
        now=now,
        messages=daemon.counts,
        opened=done[Deed.OPEN],
        clicked=done[Deed.CLICK],
        left=done[Deed.UNSUBSCRIBE] + done[Deed.STOP],
        receipts=checkout.receipts,
    )

"""What others do, as tiny senders over the same tables, towards the same vendor: the baselines of the scoreboard.

checkpoint first: the mark moves when a batch is fetched, then the batch is sent; errors are logged. send again: a message
is claimed under a lease and marked when it was sent; what failed, or whose lease is over, is sent again.
"""

from __future__ import annotations

import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import or_, select, update

from engine.daemon import open_workspace_database, set_up
from engine.model import Channel, MessageClass
from engine.provider import Accepted, EmailContent, Outgoing
from engine.store import Database
from engine.store.tables import contact_points, messages
from tests.faults.shop import DEADLINE, LEASE, THREADS

BATCH = 12


class Policy(StrEnum):
    CHECKPOINT_FIRST = "checkpoint first"
    SEND_AGAIN = "lease over: send again"


def work(folder: Path, policy: Policy) -> None:
    """Send until SIGTERM, with as many threads as the real sender has."""
    setup = set_up(folder)
    database, courier = open_workspace_database(setup.workspace), setup.providers["courier"]
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())

    def loop() -> None:
        while not end.is_set():
            batch = fetch(database, policy)
            for row in batch:
                outcome = courier.send(_letter(database, row), deadline=time.monotonic() + DEADLINE)
                if policy is Policy.SEND_AGAIN:
                    mark(database, row.id, "accepted" if isinstance(outcome, Accepted) else "pending")
            end.wait(0 if batch else 0.1)

    crew = [threading.Thread(target=loop, daemon=True) for _ in range(THREADS)]
    for thread in crew:
        thread.start()
    while not end.wait(1.0):
        pass
    for thread in crew:
        thread.join()


def fetch(database: Database, policy: Policy) -> list[Any]:
    """The next batch, marked as the policy marks it."""
    now, m = datetime.now(UTC), messages.c
    over = (m.state == "claimed") & (m.lease_until <= now)
    with database.writing() as connection:
        free = select(m.id).where(or_(m.state == "pending", over)).order_by(m.id).limit(BATCH)
        ids = connection.execute(free.with_for_update(skip_locked=True)).scalars().all()
        marked = {"state": "accepted" if policy is Policy.CHECKPOINT_FIRST else "claimed"}
        lease = now + timedelta(seconds=LEASE)
        connection.execute(update(messages).where(m.id.in_(ids)).values(**marked, lease_until=lease))
        address = contact_points.c.customer_id == m.customer_id
        rows = select(m.id, m.campaign, contact_points.c.address).join(contact_points, address).where(m.id.in_(ids))
        return list(connection.execute(rows).all())


def mark(database: Database, message_id: int, state: str) -> None:
    with database.writing() as connection:
        connection.execute(update(messages).where(messages.c.id == message_id).values(state=state))


def _letter(database: Database, row: Any) -> Outgoing:
    return Outgoing(
        key=database.message_key(row.id),
        channel=Channel.EMAIL,
        message_class=MessageClass.TRANSACTIONAL,
        campaign=row.campaign,
        to=row.address,
        sender="Example Records <news@shop.example>",
        content=EmailContent(subject="News", text="Hello"),
        at=datetime(2026, 3, 2, tzinfo=UTC),
    )

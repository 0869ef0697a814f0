"""Reports that are fetched because their senders cannot call: each mail stored, then taken out of its mailbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Protocol

from engine.clock import Clock
from engine.errors import RegularsError, StoreError
from engine.ledger.inboxes import Look, looked
from engine.ledger.record import record_events
from engine.model import Channel
from engine.provider import Inbox, Provider, ProviderEvent
from engine.store import Database


class Record(Protocol):
    """Stores events and lets them take effect, as `record_events` does."""

    def __call__(
        self,
        database: Database,
        reported: Sequence[ProviderEvent],
        /,
        *,
        provider: str,
        now: datetime,
        channel: Channel,
    ) -> object: ...


def collect(
    database: Database,
    providers: Mapping[str, Provider],
    clock: Clock,
    *,
    record: Record = record_events,
    stopping: Callable[[], bool] = lambda: False,
) -> list[Look]:
    """Look once into every mailbox. One that cannot be read keeps none of the others waiting; its look says why.

    A mail whose events are stored when everything stops is read again, and its events are known then.
    """
    looks = []
    for name, provider in sorted(providers.items()):
        for inbox in provider.inboxes:
            look = _look(database, name, provider, inbox, clock, record, stopping)
            looked(database, look)
            looks.append(look)
    return looks


def _look(
    database: Database,
    name: str,
    provider: Provider,
    inbox: Inbox,
    clock: Clock,
    record: Record,
    stopping: Callable[[], bool],
) -> Look:
    taken, problem, channel = 0, "", provider.capabilities.channel
    try:
        with closing(inbox.fetch(database.key_of, now=clock.now())) as mails:  # type: ignore[type-var]
            for mail in mails:
                if mail.events:
                    record(database, mail.events, provider=name, now=clock.now(), channel=channel)
                taken += not mail.problem
                if stopping():
                    break
    except StoreError:
        raise
    except RegularsError as error:
        problem = str(error)
    except Exception as error:  # against its contract
        problem = f"the mailbox's reader broke down ({type(error).__name__})"
    return Look(provider=name, name=inbox.name, looked_at=clock.now(), problem=problem, taken=taken, aside=inbox.aside)

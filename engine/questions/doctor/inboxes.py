"""Mailboxes that bounces and complaints arrive in, and lists of notifications: looked into of late, and nothing strange in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from engine.ledger.inboxes import last_looks
from engine.provider import Provider
from engine.questions.doctor.finding import Finding, good, warning, wrong

AREA = "inboxes"
LATE = timedelta(minutes=10)


def inboxes(connection: Connection, providers: Mapping[str, Provider], *, now: datetime) -> Iterator[Finding]:
    """How the daemon's last look into each of them went."""
    looks = {(look.provider, look.name): look for look in last_looks(connection)}
    for name, provider in sorted(providers.items()):
        for inbox in provider.inboxes:
            look, what = looks.get((name, inbox.name)), f"{name}: {inbox.name}"
            if look is None or look.looked_at < now - LATE:
                yield warning(AREA, f"{what} was not looked into for ten minutes", "Is `regulars run` running?")
            elif look.problem:
                yield wrong(AREA, f"{what}: {look.problem}", f"See providers.{name} in config.yaml.")
            elif look.aside:
                told = f"{look.aside:,} mails there are no report that proves which message it is about"
                yield warning(AREA, f"{what}: {told}", "They lie in the folder regulars-aside: look, and delete them.")
            else:
                yield good(AREA, f"{what} can be read; {look.taken:,} taken so far")

"""Which way config.yaml asks for."""

from __future__ import annotations

from engine.clock import Clock, SteppedClock
from engine.sending.dispatch.dispatcher import Dispatcher
from engine.sending.dispatch.threads import Threads
from engine.sending.sender import Sender
from engine.settings import Dispatch
from engine.store import Database


def dispatcher_for(sender: Sender, database: Database, clock: Clock) -> Dispatcher:
    """The dispatcher of `sending.dispatch`; Procrastinate's tables are made, where they are not there yet. In the world of a
    stepped clock one process is alone, and calls nobody.
    """
    if isinstance(clock, SteppedClock):
        return Threads(sender, database, clock)
    match sender.settings.dispatch:
        case Dispatch.THREADS:
            return Threads(sender, database, clock)
        case Dispatch.PROCRASTINATE:
            from engine.sending.dispatch.tickets import Tickets  # here: only those who have asked for it load it

            return Tickets(sender, database, clock)

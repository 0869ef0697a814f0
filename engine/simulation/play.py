"""A simulation from beginning to end: copy, rewind, step the daemon through, read what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.content.links import Links
from engine.daemon import Stepped
from engine.errors import RegularsError
from engine.rules.workspace import Workspace
from engine.sending.prepare import Setup
from engine.sending.stand_in import stand_ins
from engine.simulation.calendar import Simulation, read
from engine.simulation.past import rewind
from engine.store import Database
from engine.store.copying import copy_database
from engine.store.scratch import open_scratch


def simulate(
    workspace: Workspace,
    *,
    start: datetime,
    end: datetime,
    on_step: Callable[[datetime], None] = lambda now: None,
) -> Simulation:
    """What the daemon would send from `start` to `end` by the rules of this workspace. Its own database is only read.

    Nobody opens, clicks, buys or leaves because of a simulated message, and nobody calls for a triggered campaign.
    Raises RegularsError where the time runs backwards; StoreError where the database cannot be read.
    """
    if end <= start:
        raise RegularsError("the simulation ends before it begins", remedy="Give --to a later time than --from.")
    settings = workspace.settings
    secret = settings.secret.reveal()
    with TemporaryDirectory(prefix="regulars-simulation-") as folder:
        path = Path(folder) / "copy.db"
        copy_database(settings.database, workspace.folder, path, secret=secret, until=end)
        database = open_scratch(path, secret=secret)
        rewind(database, start)
        step_through(workspace, database, start=start, end=end, on_step=on_step)
        database = open_scratch(path, secret=secret)
        try:
            triggered = tuple(name for name, campaign in sorted(workspace.campaigns.items()) if campaign.trigger)
            return read(database, start=start, end=end, zone=settings.time_zone, not_simulated=triggered)
        finally:
            database.close()


def step_through(
    workspace: Workspace,
    database: Database,
    *,
    start: datetime,
    end: datetime,
    on_step: Callable[[datetime], None] = lambda now: None,
) -> None:
    """Run the stepped daemon on this database with stand-ins for the providers, then close the database.

    One thread, so that two campaigns that fall due together meet a frequency cap in the same order each time.
    """
    sending = workspace.settings.sending.model_copy(update={"threads": 1})
    settings = workspace.settings.model_copy(update={"sending": sending})
    setup = Setup(
        workspace=replace(workspace, settings=settings),
        providers=stand_ins(settings, workspace.folder),
        links=Links(settings.secret.reveal(), settings.public_url),
    )
    daemon = Stepped(workspace.folder, start=start, end=end, setup=setup, database=database)
    try:
        daemon.run(on_step=on_step)
    finally:
        daemon.installation.close()

"""The daemon, killed in the middle of the Christmas campaign, again and again: nothing is lost, nothing is doubled."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from engine import shipped
from engine.daemon import open_workspace_database
from engine.demo.people import customer_rows, people
from engine.demo.rows import write_csv
from engine.demo.workspace import EXTRA
from engine.intake import import_customers
from engine.model import FINAL, State
from engine.provider import ProviderSettings
from engine.rules.workspace import Workspace, load_workspace
from engine.store import Database
from engine.store.tables import messages, runs
from engine.testing.vendors.smtp import SmtpVendor

AUDIENCE, KILLS, SEED = 800, 10, 19971201
PATIENCE_SECONDS = 60.0

CONFIG = """
workspace: shop
time_zone: Etc/UTC
secret: ${env:REGULARS_SECRET}
postal_address: Example Records, 1 Example Street, Philadelphia
attributes: {first_name: text, city: text, country: text}
events:
  purchase: {amount: number, cds: number}
purposes:
  offers: {consent: opt_in}
  loyalty: {consent: opt_in}
providers:
  relay: {use: smtp, host: 127.0.0.1, port: PORT, security: none}
channels:
  email:
    commercial: {provider: relay, from: Example Records <hello@news.shop.example>}
sending: {threads: 4, batch: 40, lease: 4 seconds, deadline: 2 seconds, resolve_window: 3 seconds}
"""


@pytest.fixture
def mail_server() -> Iterator[SmtpVendor]:
    """Takes about two hundred messages a second, so that the campaign lasts long enough to be killed in."""

    def slowly(_received: object) -> None:
        time.sleep(0.005)

    with SmtpVendor(
        misbehave=slowly, refuse=lambda to: "550 5.1.1 no" if to.endswith("@gone.example") else None
    ) as server:
        yield server


@pytest.fixture
def workspace(tmp_path: Path, mail_server: SmtpVendor) -> Workspace:
    """The demo's Christmas campaign, due now, for 800 of its people."""
    shutil.copytree(shipped.starter() / "templates", tmp_path / "templates")
    shutil.copytree(EXTRA, tmp_path, dirs_exist_ok=True)
    config = CONFIG.replace("PORT", str(mail_server.port))
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    rule = tmp_path / "rules" / "campaigns" / "christmas.yaml"
    written = rule.read_text(encoding="utf-8").replace("1997-12-01T09:00", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}")
    everybody = "audience: {created_at: {present: true}}"
    rule.write_text(written.replace("audience: {did: purchase}", everybody), encoding="utf-8")
    return load_workspace(tmp_path)


@pytest.fixture
def database(workspace: Workspace) -> Iterator[Database]:
    database = open_workspace_database(workspace)
    now = datetime.now(UTC)
    rows = customer_rows(people(range(1, AUDIENCE + 1)), dict.fromkeys(range(1, AUDIENCE + 1), now - timedelta(days=1)))
    file = write_csv(workspace.folder / "customers.csv", rows)
    assert import_customers(file, settings=workspace.settings, database=database, now=now).added == AUDIENCE
    yield database
    database.close()


@contextmanager
def daemon(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`regulars run` as a process of its own; surely gone at the end."""
    command = [sys.executable, "-c", "from engine.cli import main; main()", "run", "--workspace", str(folder)]
    with (folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert process.poll() is None, f"the daemon ended by itself: {log.read_text()[-2000:]}"
        assert time.monotonic() < until, f"waited for {PATIENCE_SECONDS} seconds: {log.read_text()[-2000:]}"
        time.sleep(0.002)


def test_ten_kills_in_the_middle_of_a_campaign_lose_and_double_nothing(
    workspace: Workspace, database: Database, mail_server: SmtpVendor
) -> None:
    """After ten SIGKILLs at random moments, every owed message is final, none reached the mail server twice, what the
    ledger calls accepted is what the server has, what it cannot know it calls unknown, and the books balance.
    """
    folder, log = workspace.folder, workspace.folder / "daemon.log"
    chance = random.Random(SEED)
    for taken in sorted(chance.sample(range(1, AUDIENCE // 2), KILLS)):
        with daemon(folder) as process:
            wait_for(lambda taken=taken: len(mail_server.accepted) >= taken, process, log)  # type: ignore[misc]
            time.sleep(chance.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    assert 0 < len(mail_server.accepted) < AUDIENCE * 0.8, "the kills came too late to be in the middle"
    with daemon(folder) as process:
        wait_for(lambda: all_final(database), process, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    _assert_nothing_lost_or_doubled(database, mail_server)


def all_final(database: Database) -> bool:
    with database.reading() as connection:
        states = set(connection.execute(select(messages.c.state).distinct()).scalars())
    return bool(states) and {State(state) for state in states} <= FINAL


def _assert_nothing_lost_or_doubled(database: Database, mail_server: SmtpVendor) -> None:
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(runs)).scalar() == 1
        found = connection.execute(select(messages.c.id, messages.c.state)).all()
    state_of = {database.message_key(number): State(state) for number, state in found}
    held = Counter(received.key for received in mail_server.accepted)
    assert len(state_of) == AUDIENCE
    assert set(held.values()) == {1}, "the mail server has a message twice"
    accepted = {key for key, state in state_of.items() if state is State.ACCEPTED}
    unknown = {key for key, state in state_of.items() if state is State.UNKNOWN}
    assert accepted <= set(held) <= accepted | unknown
    assert len(unknown) <= KILLS * ProviderSettings().connections, (
        "a kill leaves at most the messages in flight in doubt"
    )
    assert Counter(state_of.values()).keys() <= {State.ACCEPTED, State.REJECTED, State.SKIPPED, State.UNKNOWN}

"""A database restored from a backup, or failed over: nothing that left since leaves again unseen."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine.campaigns.launch import launch
from engine.campaigns.schedules import Occurrence
from engine.clock import SteppedClock
from engine.errors import AnotherDatabase, HeldBack, Quarantined
from engine.ledger import brakes, restores
from engine.ledger.balance import balance
from engine.ledger.links import link_id
from engine.ledger.tallies import tally
from engine.model import Lane, Reason, State
from engine.provider import Accepted, Finding, NotFound, Outgoing
from engine.scalars import clock_time
from engine.sending.restored import begin_watched, suspicion
from engine.sending.sender import Sender
from engine.sending.witness import place
from engine.store import Database, open_database
from engine.store.tables import EPOCH
from tests.conftest import NOW, SECRET
from tests.postgres import Server
from tests.sending.shop import Scripted, Shop


@contextmanager
def sending(shop: Shop, url: str) -> Iterator[Sender]:
    """The shop's sender, with the look and the witness that the daemon has."""
    witness = begin_watched(shop.database, url, shop.folder, shop.workspace.settings, now=shop.clock.now())
    setup = shop.setup()
    sender = Sender(setup=lambda: setup, database=shop.database, clock=shop.clock, witness=witness)
    try:
        yield sender
    finally:
        sender.stop()
        if witness:
            witness.close()


class Backup:
    """A database as it was at one moment; put back, it is where the original was."""

    def __init__(self, database: Database, url: str, server: Server, folder: Path) -> None:
        self.url, self.server, self.file = url, server, folder / "backup.db"
        database.close()
        if url.startswith("sqlite"):
            there = url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(there)) as source, closing(sqlite3.connect(self.file)) as target:
                source.backup(target)
        else:
            self.name, _ = server.copy(url.rpartition("/")[2])

    def put_back(self) -> Database:
        """Instead of what is there."""
        if self.url.startswith("sqlite"):
            there = Path(self.url.removeprefix("sqlite:///"))
            for name in (there, *(there.with_name(there.name + end) for end in ("-wal", "-shm"))):
                name.unlink(missing_ok=True)
            shutil.copy(self.file, there)
        else:
            name = self.url.rpartition("/")[2]
            self.server.drop(name)
            self.server.rename(self.name, name)
        return open_database(self.url, secret=SECRET)


@pytest.fixture
def shop(tmp_path: Path, database: Database) -> Shop:
    shop = Shop(tmp_path, database, SteppedClock(NOW))
    shop.launch()
    return shop


@pytest.fixture
def backup(shop: Shop, database_url: str, postgres_server: Server, tmp_path: Path) -> Backup:
    """Made when four of nine messages had left; the other five leave after it, then a tenth by a trigger's run."""
    with sending(shop, database_url) as sender:
        sender.work((Lane.BULK,))
    assert Counter(shop.states())[State.ACCEPTED] == 4
    backup = Backup(shop.database, database_url, postgres_server, tmp_path)
    shop.pass_time(minutes=10)
    with sending(shop, database_url) as sender:
        sender.drain()
    assert Counter(shop.states()) == {State.ACCEPTED: 9}
    shop.database.close()
    shop.database = backup.put_back()
    return backup


def taken(shop: Shop) -> Counter[str | None]:
    return Counter(one.to for one in shop.provider.taken)


EACH_ONCE = Counter({f"c{n}@customers.example": 1 for n in range(1, 10)})


def test_a_restored_database_sends_nothing_until_somebody_has_decided(shop: Shop, backup: Backup) -> None:
    """It is found out at the start, every sender everywhere is braked, no resume lifts that, and the error says what to do."""
    with pytest.raises(Quarantined, match=r"was handed over|another database") as refused, sending(shop, backup.url):
        pass
    assert "resume --after-restore" in str(refused.value)
    assert f"seen on {clock_time(shop.clock.now(), shop.workspace.settings.time_zone)})" in str(refused.value)
    with pytest.raises(Quarantined), sending(shop, backup.url):
        pass
    brakes.resume(shop.database, brakes.ALL)
    assert shop.sender().drain() == Counter()  # one that did not look
    assert taken(shop) == EACH_ONCE


def test_what_may_have_left_is_in_doubt_and_ends_unknown_where_nobody_can_be_asked(shop: Shop, backup: Backup) -> None:
    """Nothing is handed over again; said aloud, and the books balance."""
    with pytest.raises(Quarantined), sending(shop, backup.url):
        pass
    restore = restores.go_on(shop.database, since=None, nothing_lost=False, by="ops", why="", now=shop.clock.now())
    assert restore.suspected == 5
    with sending(shop, backup.url) as sender:
        sender.drain()
        doubts = [row for row in shop.rows() if row.state == State.IN_DOUBT]
        assert [row.reason for row in doubts] == [Reason.RESTORED] * 5
        with shop.database.reading() as connection:  # no vendor's doing, and nothing to pause a campaign for
            assert tally(connection, "news", since=EPOCH).errors == 0
        shop.pass_time(hours=73)
        sender.drain()
    assert Counter(shop.states()) == {State.ACCEPTED: 4, State.UNKNOWN: 5}
    assert taken(shop) == EACH_ONCE
    assert balance(shop.database).holds


@pytest.mark.parametrize("by_key", [True, False])
def test_a_vendor_that_can_be_asked_by_our_key_settles_it(shop: Shop, backup: Backup, by_key: bool) -> None:
    """What it has is accepted; what it lacks twice is sent now. By words and time alone, a look that finds nothing proves nothing."""
    had = {one.key for one in shop.provider.taken[:7]}
    lost = {one.key for one in shop.provider.taken[7:]}

    class Asked(Scripted):
        def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
            return Accepted(provider_message_id="found") if outgoing.key in had else NotFound()

    shop.provider = Asked(lambda _: Accepted(), settle_time=timedelta(minutes=1))
    shop.provider.capabilities = replace(shop.provider.capabilities, key_suffices=by_key)
    with pytest.raises(Quarantined), sending(shop, backup.url):
        pass
    restores.go_on(shop.database, since=None, nothing_lost=False, by="ops", why="", now=shop.clock.now())
    with sending(shop, backup.url) as sender:
        for _ in range(80):
            sender.drain()
            shop.pass_time(hours=1)
    assert {one.key for one in shop.provider.taken} == (lost if by_key else set())
    assert Counter(shop.states()) == ({State.ACCEPTED: 9} if by_key else {State.ACCEPTED: 7, State.UNKNOWN: 2})


def test_what_was_due_in_the_lost_time_is_held_and_numbers_are_not_used_again(shop: Shop, backup: Backup) -> None:
    """A run that the backup lacks may have gone out: a person launches it. Its messages get numbers that nobody knows yet."""
    with pytest.raises(Quarantined), sending(shop, backup.url):
        pass
    now = shop.clock.now()
    restores.go_on(shop.database, since=None, nothing_lost=False, by="ops", why="", now=now)
    campaign, meant = shop.workspace.campaigns["news"], Occurrence(key="meanwhile", nominal_at=now)
    here = f"{now.astimezone(shop.workspace.settings.time_zone):%Y-%m-%d %H:%M}"
    with pytest.raises(HeldBack, match=f"may have been launched between .* and {here}\\."):
        launch(shop.workspace, shop.database, campaign, meant, now=now)
    launch(shop.workspace, shop.database, campaign, meant, now=now, confirmed=True)
    later = Occurrence(key="later", nominal_at=now + timedelta(seconds=1))
    launch(shop.workspace, shop.database, campaign, later, now=now)
    numbers = [row.id for row in shop.rows()]
    assert numbers == [*range(1, 10), *range(10**9, 10**9 + 18)]
    assert link_id(shop.database, "https://shop.example/new") >= 10**9


def test_a_move_without_loss_is_told_and_nothing_is_in_doubt(shop: Shop, backup: Backup) -> None:
    """The operator knows that nothing was sent since: the rest leaves as if nothing had happened. A later look finds all well."""
    with pytest.raises(Quarantined), sending(shop, backup.url):
        pass
    shop.provider.taken.clear()
    restores.go_on(shop.database, since=None, nothing_lost=True, by="ops", why="moved", now=shop.clock.now())
    for _ in range(2):
        with sending(shop, backup.url) as sender:
            sender.drain()
    assert len(shop.provider.taken) == 5
    assert Counter(shop.states()) == {State.ACCEPTED: 9}
    assert suspicion(shop.database, backup.url, shop.folder) == ""


def test_a_sqlite_file_without_its_witness_and_one_replaced_while_open_are_found_out(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """The backup on a new machine has nothing beside it; a running process notices that its file is another."""
    file = tmp_path / "regulars.db"
    shutil.copy(sqlite_template, file)
    url = f"sqlite:///{file}"
    shop = Shop(tmp_path, open_database(url, secret=SECRET), SteppedClock(NOW))
    shop.launch()
    with sending(shop, url) as sender:
        sender.drain()
    assert suspicion(shop.database, url, tmp_path) == ""
    shutil.rmtree(place(url, tmp_path, shop.database.ledger))
    assert "is not beside it" in suspicion(shop.database, url, tmp_path)
    shutil.copy(sqlite_template, tmp_path / "new.db")
    fresh = open_database(f"sqlite:///{tmp_path / 'new.db'}", secret=SECRET)
    assert suspicion(fresh, f"sqlite:///{tmp_path / 'new.db'}", tmp_path) == ""  # a new ledger has sent nothing
    fresh.close()
    shutil.copy(file, tmp_path / "copy.db")
    (tmp_path / "copy.db").replace(file)
    with pytest.raises(AnotherDatabase, match="start it again"):
        shop.database.same.look()
    shop.database.close()


def test_postgresql_rolled_back_on_its_disk_and_promoted_to_a_new_timeline(tmp_path: Path) -> None:
    """The same server, timeline and database, older than what left: the witness knows. A recovery begins a new timeline."""
    with Server() as server:
        url = server.create("shop")
        shop = Shop(tmp_path, open_database(url, secret=SECRET), SteppedClock(NOW))
        shop.launch()
        with server.down() as data:
            shutil.copytree(data, tmp_path / "snapshot")
        with sending(shop, url) as sender:
            sender.drain()
        with server.down() as data:
            shutil.rmtree(data)
            shutil.copytree(tmp_path / "snapshot", data)
        with pytest.raises(Quarantined, match="which was handed over"), sending(shop, url):
            pass
        restores.go_on(shop.database, since=None, nothing_lost=False, by="ops", why="", now=shop.clock.now())
        with sending(shop, url) as sender:
            sender.drain()
        with server.down() as data:
            (data / "recovery.signal").touch()
            with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
                settings.write("restore_command = 'false'\n")
        server.wait_until_promoted()
        with pytest.raises(AnotherDatabase), shop.database.reading():
            pass
        shop.database.close()
        shop.database = open_database(url, secret=SECRET)
        with pytest.raises(Quarantined, match=r"another timeline of the server .it was 1, it is 2"), sending(shop, url):
            pass
        assert suspicion(shop.database, url, tmp_path, promotions=False) == ""  # replication was synchronous
        assert len(shop.provider.taken) == 9
        shop.database.close()

"""The doctor: what is well is told as well, and every illness that it claims to know, it finds."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import sqlalchemy as sa
from rich.console import Console
from typer.testing import CliRunner

from engine.cli.app import app
from engine.cli.doctor import doctor_page
from engine.clock import SteppedClock
from engine.errors import Severity
from engine.ledger import brakes
from engine.model import State
from engine.provider import Accepted, Ambiguous, MailRecords, Outgoing, Verified
from engine.questions.check import check
from engine.questions.doctor.answer import Diagnosis, diagnose
from engine.questions.doctor.books import prove
from engine.questions.doctor.dns import DnsFault, Resolver
from engine.questions.doctor.finding import Finding, Verdict, wrong
from engine.questions.doctor.mail import mail
from engine.questions.doctor.vendors import vendors
from engine.settings import load_settings
from engine.store import Database, tables
from tests.channels.test_smtp_dkim import KEYS, record
from tests.sending.shop import CONFIG, Scripted, Shop


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str) -> Shop:
    shop = Shop(tmp_path, database, SteppedClock(datetime.now(UTC)))
    (tmp_path / "config.yaml").write_text(CONFIG + f"database: {database_url}\n", encoding="utf-8")
    shop.launch()
    return shop


def found(shop: Shop, verdict: Verdict = Verdict.WRONG, *, now: datetime | None = None) -> list[str]:
    settings = load_settings(shop.folder)
    diagnosis = diagnose(settings, shop.folder, now=now or datetime.now(UTC), dns=None)
    return [f"{one.area}: {one.what}" for one in diagnosis.findings if one.verdict is verdict]


# ---------------------------------------------------------------- the books


def test_the_books_are_proved_at_any_moment(shop: Shop) -> None:
    """Before, in the middle of and after a run, for it, its campaign and in all."""

    def answer(outgoing: Outgoing) -> Accepted | Ambiguous:
        assert prove(shop.database).total.balance
        return Ambiguous(code="timeout") if outgoing.to == "c1@customers.example" else Accepted()

    assert prove(shop.database).total.open == 9
    shop.provider.answer = answer
    shop.sender().drain()
    proof = prove(shop.database)
    assert (proof.runs, proof.off, proof.total.audience, proof.total.open) == (1, (), 9, 1)
    assert proof.campaigns["news"].states == {State.ACCEPTED: 8, State.IN_DOUBT: 1}
    assert found(shop) == []


def test_a_lost_row_and_a_strange_state_are_found(shop: Shop) -> None:
    """Somebody changed the ledger by hand: the run, the campaign and the sum are off."""
    m = tables.messages
    with shop.database.writing() as connection:
        connection.execute(m.delete().where(m.c.id == 1))
    assert found(shop) == [
        "books: run 1 (news today) owed 9 and has 8 messages",
        "books: news owed 9, and 8 stand in a state",
    ]
    with shop.database.writing() as connection:
        connection.execute(m.update().where(m.c.id == 2).values(state="sent"))
    assert any("1 in an unknown one" in one for one in found(shop))


def test_losses_that_cancel_each_other_out_are_found(shop: Shop) -> None:
    """One run has a message less and the other one more: the sums are right, and the runs are not."""
    shop.launch("tomorrow")
    m = tables.messages
    with shop.database.writing() as connection:
        moved = connection.execute(m.select().where(m.c.id == 1)).one()._mapping
        connection.execute(m.delete().where(m.c.id == 1))
        connection.execute(m.insert().values({**moved, "id": 99, "run_id": 2, "step": "other"}))
    assert prove(shop.database).total.balance
    assert len([one for one in found(shop) if one.startswith("books: run")]) == 2


def test_what_waits_for_nobody_is_told(shop: Shop) -> None:
    """Nothing runs: a warning after ten minutes. Paused, it waits for a person, and that is told instead."""
    assert found(shop, Verdict.WARNING) == []
    later = datetime.now(UTC) + timedelta(minutes=11)
    assert any("9 messages should have left" in one for one in found(shop, Verdict.WARNING, now=later))
    brakes.pause(shop.database, "news", why="the wrong price", now=later)
    assert found(shop, Verdict.WARNING, now=later) == ["sending: news is paused: the wrong price"]


# ---------------------------------------------------------------- database, secrets, clock


def test_settings_that_endanger_the_ledger_are_found(shop: Shop) -> None:
    """PostgreSQL with synchronous_commit off: told, with what it endangers, and nothing else is done."""
    if shop.database.dialect == "sqlite":
        assert "database: synchronous is full" in found(shop, Verdict.GOOD)
        return
    with shop.database.pool.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar()
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    assert any("synchronous_commit is off" in one for one in found(shop))


def test_another_versions_tables_are_told_and_not_touched(shop: Shop) -> None:
    """Older ones are brought up to date by the next start, not by the doctor; newer ones are not for this version."""
    for version, verdict in (("0001", Verdict.WARNING), ("9999", Verdict.WRONG)):
        with shop.database.writing() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version})
        assert any(f"of version {version}" in one for one in found(shop, verdict))
        with shop.database.reading() as connection:
            assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == version


def test_a_database_that_is_not_there_is_not_made(shop: Shop, tmp_path: Path) -> None:
    """On the first day there is none; the doctor leaves it so. A server that does not answer is an illness."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG + f"database: sqlite:///{tmp_path}/new.db\n", encoding="utf-8")
    assert any("there is none yet" in one for one in found(shop, Verdict.SKIPPED))
    assert not (tmp_path / "new.db").exists()
    config.write_text(CONFIG + "database: postgresql://nobody@127.0.0.1:1/none\n", encoding="utf-8")
    assert any(one.startswith("database: the database cannot be used") for one in found(shop))


def test_a_secret_that_is_not_set_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its variable; the books cannot be read then."""
    monkeypatch.delenv("REGULARS_SECRET")
    assert any("REGULARS_SECRET is not set" in one for one in found(shop))


def test_a_clock_that_was_set_back_is_found(shop: Shop) -> None:
    """The ledger was written an hour from now."""
    earlier = datetime.now(UTC) - timedelta(hours=1)
    assert any("seconds in the future" in one for one in found(shop, now=earlier))
    assert any("it is 2001-01-01" in one for one in found(shop, now=datetime(2001, 1, 1, tzinfo=UTC)))


def test_the_command_says_so_by_its_exit_status(shop: Shop) -> None:
    """0 where all is well, 1 where something is wrong; JSON has every finding and the books."""
    well = CliRunner().invoke(app, ["doctor", "--offline", "--json", "-w", str(shop.folder)])
    told = json.loads(well.stdout)
    assert (well.exit_code, told["healthy"], told["books"]["total"]["audience"]) == (0, True, 9)
    with shop.database.writing() as connection:
        connection.execute(tables.messages.delete().where(tables.messages.c.id == 1))
    ill = CliRunner().invoke(app, ["doctor", "--offline", "-w", str(shop.folder)])
    assert ill.exit_code == 1 and "2 wrong" in ill.output


# ---------------------------------------------------------------- DNS of the mail


class Zone:
    """DNS by a table; a name with None does not answer."""

    def __init__(self, records: Mapping[str, Sequence[str] | None]) -> None:
        self.records = records

    def texts(self, name: str) -> Sequence[str]:
        found = self.records.get(name, ())
        if found is None:
            raise DnsFault("timeout")
        return found


KEY = record(KEYS["rsa"]).decode()
SENDER = MailRecords(
    domain="news.shop.fi", envelope="news.shop.fi", dkim={"s._domainkey.shop.fi": KEY.rpartition("p=")[2]}
)
WELL: Mapping[str, Sequence[str] | None] = {
    "news.shop.fi": ["google-site-verification=x", "v=spf1 include:relay.fi -all"],
    "relay.fi": ["v=spf1 ip4:192.0.2.1 mx a:out.relay.fi ~all"],
    "s._domainkey.shop.fi": [KEY],
    "_dmarc.shop.fi": ["v=DMARC1; p=none; rua=mailto:dmarc@shop.fi"],
}


def told(zone: Mapping[str, Sequence[str] | None], records: MailRecords = SENDER) -> list[Finding]:
    return [one for one in mail(records, Zone({**WELL, **zone})) if one.verdict is not Verdict.GOOD]


def test_well_kept_mail_records_are_well() -> None:
    """SPF with its includes counted, the very key that signs, and the organisation's policy for its subdomain."""
    findings = list(mail(SENDER, Zone(WELL)))
    assert [(one.verdict, one.what) for one in findings] == [
        (Verdict.GOOD, "DMARC of shop.fi: p=none"),
        (Verdict.GOOD, "SPF of news.shop.fi: 3 of 10 look-ups"),
        (Verdict.GOOD, "DKIM at s._domainkey.shop.fi: 2048 bits"),
    ]


@pytest.mark.parametrize(
    ("zone", "what"),
    [
        ({"_dmarc.shop.fi": ()}, "has no DMARC record"),
        ({"_dmarc.shop.fi": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}, "2 DMARC records"),
        ({"_dmarc.shop.fi": ["v=DMARC1; rua=mailto:a@shop.fi"]}, "has no policy"),
        ({"_dmarc.shop.fi": ["v=DMARC1; p=none"]}, "reports to nobody"),
        ({"news.shop.fi": ()}, "has no SPF record"),
        ({"news.shop.fi": ["v=spf1 -all", "v=spf1 mx -all"]}, "2 SPF records"),
        ({"news.shop.fi": ["v=spf1 include:relay.fi +all"]}, "lets everybody"),
        ({"news.shop.fi": [f"v=spf1 {' '.join(f'a:h{n}.fi' for n in range(11))} -all"]}, "takes 11 look-ups"),
        ({"relay.fi": ["v=spf1 include:news.shop.fi " + "mx " * 12]}, "takes 14 look-ups"),
        ({"s._domainkey.shop.fi": ()}, "no DKIM key"),
        ({"s._domainkey.shop.fi": ["v=DKIM1; k=rsa; p="]}, "is revoked"),
        ({"s._domainkey.shop.fi": [record(KEYS["ed25519"]).decode()]}, "not the one that mail is signed with"),
        ({"news.shop.fi": None}, "DNS does not answer"),
    ],
)
def test_each_fault_of_mail_records_is_found(zone: Mapping[str, Sequence[str] | None], what: str) -> None:
    """One thing is wrong at a time, and it alone is told."""
    (finding,) = told(zone)
    assert what in finding.what and finding.remedy


def test_mail_that_nobody_of_the_house_vouches_for_is_found() -> None:
    """Signed by, and bouncing to, somebody else's domain: DMARC fails, however good SPF and DKIM are."""
    foreign = replace(SENDER, envelope="relay.fi", dkim={})
    assert any("DMARC fails" in one.what for one in told({}, foreign))
    assert any("how mail of news.shop.fi is signed" in one.what for one in told({}, foreign))
    assert not any("DMARC fails" in one.what for one in told({}, replace(SENDER, envelope="relay.fi")))


def test_names_for_examples_are_not_asked_about() -> None:
    """Nobody can publish anything there."""
    (finding,) = mail(MailRecords(domain="news.shop.example"), Zone({"_dmarc.news.shop.example": None}))
    assert finding.verdict is Verdict.SKIPPED


@contextmanager
def name_server(zone: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, int]]:
    """A DNS server of one's own, over UDP: TXT records from a table, else NXDOMAIN; `silent.` is never answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    data, client = sock.recvfrom(4096)
                except OSError:
                    return
                if not data:
                    return
                question = dns.message.from_wire(data)
                name = question.question[0].name.to_text().rstrip(".")
                if name == "silent":
                    continue
                answer: Any = dns.message.make_response(question)
                answer.flags |= dns.flags.RA
                if name in zone:
                    quoted = [
                        " ".join(f'"{text[i : i + 200]}"' for i in range(0, len(text), 200)) for text in zone[name]
                    ]
                    answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", *quoted))
                else:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                sock.sendto(answer.to_wire(), client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield sock.getsockname()
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closing:
                closing.sendto(b"", sock.getsockname())
            thread.join()


def test_the_resolver_asks_dns() -> None:
    """Over the wire: a long record in pieces is one text, a name that is not there has none, silence is a fault."""
    with name_server({"s._domainkey.shop.fi": [KEY], "shop.fi": ["one", "two"]}) as where:
        resolver = Resolver(server=where, seconds=2)
        assert resolver.texts("s._domainkey.shop.fi") == [KEY]
        assert sorted(resolver.texts("shop.fi")) == ["one", "two"]
        assert resolver.texts("nobody.shop.fi") == ()
        with pytest.raises(DnsFault):
            Resolver(server=where, seconds=0.3).texts("silent")


# ---------------------------------------------------------------- credentials that end


@pytest.mark.parametrize(
    ("left", "verdict"), [(15, Verdict.GOOD), (13, Verdict.WARNING), (0, Verdict.WARNING), (None, Verdict.GOOD)]
)
def test_credentials_that_end_are_told_two_weeks_before(left: int | None, verdict: Verdict) -> None:
    """With the day and what to do; before that only the day, and where no vendor tells, nothing."""
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    ends = now + timedelta(days=left, hours=1) if left is not None else None

    class Ending(Scripted):
        def verify(self, *, deadline: float) -> Verified:
            return Verified(good=True, detail="the page is known", ends=ends)

    (told,) = vendors({"page": Ending(lambda _: Accepted())}, patience=timedelta(seconds=1), now=now)
    assert told.verdict is verdict
    assert told.what == "page answers: the page is known" + (
        f"; its access ends on {ends:%Y-%m-%d}, in {left} days" if ends else ""
    )
    assert ("docs/channels.md" in told.remedy) is (verdict is Verdict.WARNING)


def test_a_finding_and_its_remedy_are_two_sentences() -> None:
    """And a single error is one."""
    told = [
        wrong("providers", "relay: the server does not offer STARTTLS", "Say so."),
        wrong("x", "It is full.", "Go."),
    ]
    page = Console(width=200, record=True, file=io.StringIO())
    doctor_page(page, Diagnosis(as_of=datetime.now(UTC), findings=tuple(told), proof=None))
    words = page.export_text()
    assert "relay: the server does not offer STARTTLS. Say so." in words and "It is full. Go." in words


def test_one_error_of_check_is_one(shop: Shop) -> None:
    """Not "1 errors"."""
    (shop.folder / "rules/broken.yaml").write_text("campaign: 1\n", encoding="utf-8")
    errors = sum(problem.severity is Severity.ERROR for problem in check(shop.folder))
    assert f"rules: `regulars check` finds {errors} error{'s' if errors > 1 else ''}" in found(shop)
    (shop.folder / "rules/broken.yaml").write_text("segments: 1\n", encoding="utf-8")
    assert "rules: `regulars check` finds 1 error" in found(shop)

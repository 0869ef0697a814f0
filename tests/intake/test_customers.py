"""Customers come in as the file says, and stay as they themselves said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from engine.errors import IntakeError
from engine.intake import Fate, Imported, import_customers, take_customers
from engine.ledger.consent import suppress_contact_point
from engine.model import Channel, Plain, SuppressionReason
from engine.store import Database
from engine.store.tables import consents, contact_points, customers, suppressions
from tests.intake.shop import SETTINGS, consents_of, customers_of, numbers, read_rejects, write

Take = Callable[..., Imported]


@pytest.fixture
def take(database: Database, now: datetime, tmp_path: Path) -> Take:
    """Import a text as customers.csv (or another name)."""

    def importing(text: str, name: str = "customers.csv", **options: object) -> Imported:
        path = write(tmp_path / name, text)
        return import_customers(path, settings=SETTINGS, database=database, now=now, **options)  # type: ignore[arg-type]

    return importing


FULL = """id,email,sms,social,locale,time_zone,created_at,first_name,points,member,birthday,last_visit,likes
c1,Ana@Shop.EXAMPLE,+358 40 1234567,Ana@Social.example,pt_br,America/Sao_Paulo,2025-01-02,Ana,12.5,yes,1990-02-03,2026-03-01T10:00,jazz | blues
"""


def test_every_column_arrives_typed_and_in_its_normal_form(take: Take, database: Database) -> None:
    """What a rule compares and a provider dials is stored in one form, whatever the file's habits."""
    assert numbers(take(FULL)) == (1, 0, 0, 0)
    assert customers_of(database)["c1"] == {
        "email": "Ana@shop.example",
        "sms": "+358401234567",
        "social": "@ana@social.example",
        "locale": "pt-BR",
        "time_zone": "America/Sao_Paulo",
        "created_at": datetime(2025, 1, 1, 22, tzinfo=UTC),
        "first_name": "Ana",
        "points": 12.5,
        "member": True,
        "birthday": "1990-02-03",
        "last_visit": "2026-03-01T08:00:00+00:00",
        "likes": ["jazz", "blues"],
    }


def test_a_file_imported_twice_changes_nothing(take: Take, database: Database) -> None:
    """An import is idempotent by id: no revision moves, so no decision is made void for nothing."""
    text = FULL.replace("likes\n", "likes,consent.email.offers\n").replace("blues\n", "blues,yes\n")
    take(text, proof="form")
    before = customers_of(database), consents_of(database), _revisions(database)
    assert numbers(take(text, proof="form")) == (0, 0, 1, 0)
    assert (customers_of(database), consents_of(database), _revisions(database)) == before


def _revisions(database: Database) -> dict[str, int]:
    """By customer: the revision that decisions are made on."""
    with database.reading() as connection:
        query = select(customers.c.external_id, customers.c.revision)
        return {row.external_id: row.revision for row in connection.execute(query)}


def test_a_changed_value_updates_and_an_empty_cell_leaves_as_it_is(take: Take, database: Database) -> None:
    """A partial file is no way to lose what is known; a change makes decisions about the customer void."""
    take("id,email,first_name,points\nc1,a@shop.example,Ana,1\nc2,b@shop.example,Bea,2\n")
    assert numbers(take("id,email,first_name,points\nc1,,,5\nc2,,,\n")) == (0, 1, 1, 0)
    found = customers_of(database)
    assert (found["c1"]["first_name"], found["c1"]["points"], found["c1"]["email"]) == ("Ana", 5, "a@shop.example")
    assert _revisions(database) == {"c1": 1, "c2": 0}


def test_a_changed_address_raises_the_revision_and_is_found_by_its_new_hash(take: Take, database: Database) -> None:
    """A message decided for the old address is decided again; webhooks find the customer by the new one."""
    take("id,email\nc1,old@shop.example\n")
    assert numbers(take("id,email\nc1,new@shop.example\n")) == (0, 1, 0, 0)
    with database.reading() as connection:
        point = connection.execute(select(contact_points)).one()
    assert (point.address, point.address_hash) == ("new@shop.example", database.address_hash("new@shop.example"))
    assert _revisions(database) == {"c1": 1}


def test_the_last_row_of_a_repeated_id_wins(take: Take, database: Database) -> None:
    """The rows of a file are taken in their order, also within one transaction."""
    done = take("id,email,points\nc1,a@shop.example,1\nc1,b@shop.example,2\nc1,b@shop.example,2\n")
    assert numbers(done) == (1, 1, 1, 0)
    found = customers_of(database)["c1"]
    assert (found["email"], found["points"]) == ("b@shop.example", 2)


# ---------------------------------------------------------------- consents

CONSENT = "id,email,consent.email.offers\nc1,a@shop.example,yes\nc2,b@shop.example,no\nc3,c@shop.example,\n"


def test_consents_without_a_proof_are_refused_whole(take: Take, database: Database) -> None:
    """A bought list has no proof; nothing of it is taken, and the error says why."""
    with pytest.raises(IntakeError, match=r"(?s)need a proof.*consent_proof.*GDPR"):
        take(CONSENT)
    with pytest.raises(IntakeError, match="need a proof"):
        take(CONSENT, proof="  ")
    assert customers_of(database) == {}


def test_a_consent_is_written_once_with_its_source_and_proof(take: Take, database: Database) -> None:
    """Consents are append-only, and a row is added only where the status changes."""
    take(CONSENT, proof="form 2026")
    written = [
        ("c1", "email", "offers", "opted_in", "import", "form 2026"),
        ("c2", "email", "offers", "opted_out", "import", "form 2026"),
    ]
    assert consents_of(database) == written
    take(CONSENT, proof="another proof")
    assert consents_of(database) == written
    assert numbers(take("id,consent.email.offers\nc1,no\n", proof="letter")) == (0, 1, 0, 0)
    assert consents_of(database) == [*written, ("c1", "email", "offers", "opted_out", "import", "letter")]


def test_a_proof_column_goes_before_the_argument_and_a_yes_without_either_is_rejected(
    take: Take, database: Database
) -> None:
    """Each person's own proof is kept."""
    text = "id,email,consent.email.offers,consent_proof\nc1,a@shop.example,yes,form 7\nc2,b@shop.example,yes,\nc3,c@shop.example,no,\n"
    done = take(text)
    assert numbers(done) == (2, 0, 0, 1)
    assert "a yes needs a proof" in read_rejects(done.rejects)[0]["reject.reason"]
    assert [(row[0], row[5]) for row in consents_of(database)] == [("c1", "form 7"), ("c3", "")]
    take(text, proof="fallback")
    assert ("c2", "email", "offers", "opted_in", "import", "fallback") in consents_of(database)


@pytest.mark.parametrize("source", ["link", "keyword", "webhook", "api"])
def test_a_yes_in_a_file_never_overrides_what_people_said_themselves(
    take: Take, database: Database, now: datetime, source: str
) -> None:
    """Whoever opted out by any other way than an import stays out, however often the old list is imported."""
    take(CONSENT, proof="form")
    _say(database, "c1", "opted_out", source, now)
    before = consents_of(database)
    done = take(CONSENT, proof="form")
    assert (numbers(done), done.kept_out) == ((0, 0, 3, 0), 1)
    assert consents_of(database) == before


def test_a_yes_may_follow_the_no_of_an_import_or_of_its_own_source(
    take: Take, database: Database, now: datetime
) -> None:
    """A file's no may be put right by a file, and a preference page's no by the page itself."""
    take(CONSENT, proof="form")
    assert numbers(take("id,consent.email.offers\nc2,yes\n", proof="form 9")) == (0, 1, 0, 0)
    _say(database, "c1", "opted_out", "api", now)
    with database.writing() as connection:
        row: dict[str, Plain] = {"id": "c1", "consent.email.offers": True}
        (end,) = take_customers(connection, database, SETTINGS, [row], now=now, proof="page", source="api")
    assert (end.fate, end.kept_out) == (Fate.CHANGED, False)


def _say(database: Database, customer: str, status: str, source: str, at: datetime) -> None:
    with database.writing() as connection:
        mine = select(contact_points.c.id).join(customers).where(customers.c.external_id == customer)
        point = connection.execute(mine).scalar_one()
        row = {"contact_point_id": point, "purpose": "offers", "status": status, "at": at, "source": source}
        connection.execute(insert(consents).values(row))


def test_a_suppressed_address_stays_suppressed(take: Take, database: Database, now: datetime) -> None:
    """An import neither reads nor writes suppressions: a forgotten and re-imported person is still not written to."""
    row = {
        "channel": Channel.EMAIL.value,
        "address_hash": database.address_hash("a@shop.example"),
        "reason": SuppressionReason.COMPLAINED.value,
        "at": now,
        "source": "webhook",
    }
    with database.writing() as connection:
        connection.execute(insert(suppressions).values(row))
    take(CONSENT, proof="form")
    with database.reading() as connection:
        kept = connection.execute(select(suppressions)).one()
        point = connection.execute(
            select(contact_points).where(contact_points.c.address_hash == row["address_hash"])
        ).one()
    assert (kept.reason, point.address) == ("complained", "a@shop.example")


def test_what_a_person_said_follows_them_to_a_new_address(take: Take, database: Database, now: datetime) -> None:
    """A STOP and a complaint do, of whatever address the file brings last; that the old one bounced, or what was lifted, does not."""
    earlier = now - timedelta(days=9)

    def standing() -> dict[str, set[tuple[str, datetime]]]:
        names = {database.address_hash(f"{name}@shop.example"): name for name in "abcx"}
        found: dict[str, set[tuple[str, datetime]]] = {}
        with database.reading() as connection:
            for row in connection.execute(select(suppressions).where(suppressions.c.lifted_at.is_(None))):
                found.setdefault(names[row.address_hash], set()).add((row.reason, row.at))
        return found

    take("id,email\nc1,a@shop.example\nc2,a@shop.example\nc3,c@shop.example\n")
    with database.writing() as connection:
        for reason in (SuppressionReason.OPTED_OUT, SuppressionReason.COMPLAINED, SuppressionReason.BOUNCED):
            suppress_contact_point(
                connection, database, Channel.EMAIL, "a@shop.example", reason, at=earlier, source="webhook"
            )
        connection.execute(
            update(suppressions)
            .where(suppressions.c.reason == SuppressionReason.COMPLAINED.value)
            .values(lifted_at=now, lifted_by="Eva", lifted_why="a new yes")
        )
    take("id,email\nc1,x@shop.example\nc1,b@shop.example\nc3,a@shop.example\n")
    said = {(SuppressionReason.OPTED_OUT.value, earlier)}
    assert standing() == {"a": {*said, (SuppressionReason.BOUNCED.value, earlier)}, "b": said}


def test_a_word_about_an_address_that_is_not_there_is_rejected_unless_silence_says_the_same(
    take: Take, database: Database
) -> None:
    """A no that would be lost is not lost quietly; a no that changes nothing is no reason to reject a customer."""
    done = take(
        "id,email,consent.sms.offers,consent.sms.news\nc1,a@shop.example,no,\nc2,,yes,\nc3,,,no\n", proof="form"
    )
    assert numbers(done) == (1, 0, 0, 2)
    assert [row["reject.reason"] for row in read_rejects(done.rejects)] == [
        "consent.sms.offers: there is no address for sms",
        "consent.sms.news: there is no address for sms",
    ]
    assert set(customers_of(database)) == {"c1"}
    take("id,sms\nc1,+358401234567\n")
    assert numbers(take("id,consent.sms.offers\nc1,yes\n", proof="form")) == (0, 1, 0, 0)


# ---------------------------------------------------------------- bad rows, bad files


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("id", "", "id is missing"),
        ("id", "x" * 201, "at most 200 characters"),
        ("email", "not an address", "email: this is not an email address"),
        ("sms", "040 1234567", "sms: a phone number begins with +"),
        ("social", "two words", "social: a social handle"),
        ("locale", "suomi!", "locale: a locale is written"),
        ("time_zone", "Helsinki", "time_zone: a time zone has an IANA name"),
        ("created_at", "yesterday", "created_at: a time is written"),
        ("created_at", "0001-01-01T00:00+14:00", "out of range"),
        ("points", "12,50", "points: a number is written"),
        ("points", "nan", "points: a number is written"),
        ("points", "1e999", "points: a number is written"),
        ("points", "9" * 5000, "points: a number is written"),
        ("member", "maybe", "member: write yes or no"),
        ("birthday", "3.2.1990", "birthday: a date is written"),
        ("last_visit", "2026-13-01", "last_visit: a time is written"),
        ("first_name", "A\0na", "NUL"),
    ],
)
def test_a_bad_cell_rejects_its_row_with_the_reason_and_no_other(
    take: Take, database: Database, column: str, cell: str, reason: str
) -> None:
    """The good rows around a bad one are kept, and the bad one says which cell and what to write there."""
    columns = f"id,{column}" if column != "id" else "id,first_name"
    bad = f"bad,{cell}" if column != "id" else f"{cell},x"
    filler = {"id": "x", "first_name": "x"}.get(column, "")
    done = take(f"{columns}\ng1,{filler}\n{bad.replace('12,50', chr(34) + '12,50' + chr(34))}\ng2,{filler}\n")
    assert numbers(done) == (2, 0, 0, 1)
    (row,) = read_rejects(done.rejects)
    assert row["reject.line"] == "3"
    assert reason in row["reject.reason"]
    assert set(customers_of(database)) == {"g1", "g2"}


def test_an_unknown_column_refuses_the_file_and_names_the_nearest(take: Take, database: Database) -> None:
    """A misspelt column is never dropped quietly: nothing is imported, and the known ones are listed."""
    with pytest.raises(
        IntakeError, match=r'customers.csv:1: unknown column "frist_name".*"first_name".*id, email'
    ) as e:
        take("id,email,frist_name\nc1,a@shop.example,Ana\n")
    assert "consent.email.offers" in str(e.value)
    with pytest.raises(IntakeError, match=r'unknown column "consent\.email\.offer"'):
        take("id,consent.email.offer\nc1,yes\n", proof="form")
    assert customers_of(database) == {}


def test_a_file_without_a_header_is_refused_without_telling_its_addresses(take: Take) -> None:
    """The first customer's row is not printed as if it were a list of columns."""
    with pytest.raises(IntakeError, match='no column "id"') as error:
        take("c1,secret.person@shop.example\nc2,b@shop.example\n")
    assert "secret" not in str(error.value)


def test_an_address_is_never_told_in_a_reason(take: Take) -> None:
    """Reasons are shown on screens and in logs; the address stays in the row."""
    done = take("id,email,sms\nc1,secret person@shop.example,\nc2,,040555\n")
    for row in read_rejects(done.rejects):
        assert "secret" not in row["reject.reason"]
        assert "040555" not in row["reject.reason"]


def test_rows_of_a_request_are_taken_by_the_same_rules(database: Database, now: datetime) -> None:
    """The HTTP door's rows hold JSON's own values; each gets its own end."""
    rows = [
        {"id": "c1", "email": "a@shop.example", "points": 3, "member": True, "likes": ["jazz"]},
        {"id": "c2", "poinst": 3},
        {"id": "c3", "points": True},
        {"id": "c4", "first_name": "half \ud800"},
        {"id": 5, "first_name": None},
        {"id": "c6", "first_name": {"a": 1}},
    ]
    with database.writing() as connection:
        ends = take_customers(connection, database, SETTINGS, rows, now=now, source="api")  # type: ignore[arg-type]
    fates = [end.fate for end in ends]
    assert fates == [Fate.ADDED, Fate.REJECTED, Fate.REJECTED, Fate.REJECTED, Fate.ADDED, Fate.REJECTED]
    assert 'unknown column "poinst". Did you mean "points"?' in ends[1].reason
    assert set(customers_of(database)) == {"c1", "5"}
    assert customers_of(database)["c1"]["likes"] == ["jazz"]

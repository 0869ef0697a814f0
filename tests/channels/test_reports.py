"""Bounces and complaints by mail: what real ones say, what forged and broken ones do, and the two kinds of mailbox."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.reports.imap import Imap
from channels.reports.maildir import Maildir
from channels.reports.reading import read
from channels.reports.settings import ImapSettings, MaildirSettings
from engine.errors import ProviderError
from engine.model import EventName, SuppressionReason
from engine.provider import Fetched, Inbox
from tests.channels.certificates import authority
from tests.dovecot import Dovecot, running

KEY, SEALED = "0a1b2c3d-7", "0a1b2c3d-7-00112233aabb"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SAMPLES = Path(__file__).parent / "reports"
_E, BAD = EventName, SuppressionReason.BOUNCED


def key_of(sealed: str) -> str | None:
    return KEY if sealed.lower() == SEALED else None


def sample(name: str, sealed: str = SEALED) -> bytes:
    return (SAMPLES / f"{name}.eml").read_text(encoding="utf-8").replace("{key}", sealed).encode()


def told(raw: bytes) -> list[tuple[EventName, SuppressionReason | None]]:
    return [(event.name, event.suppress) for event in read(raw, key_of, now=NOW).events]


MEANINGS = {
    "postfix_failed": (_E.BOUNCED, BAD),
    "postfix_delayed": (_E.DEFERRED, None),
    "postfix_delivered": (_E.DELIVERED, None),
    "postfix_expired": (_E.BOUNCED_SOFT, None),
    "exchange_failed": (_E.BOUNCED, BAD),
    "exchange_policy": (_E.BOUNCED, None),
    "gmail_failed": (_E.BOUNCED, BAD),
    "gmail_full": (_E.BOUNCED_SOFT, None),
    "exim_failed": (_E.BOUNCED, None),
    "qmail_failed": (_E.BOUNCED, BAD),
    "arf_abuse": (_E.COMPLAINED, None),
    "arf_not_spam": (_E.OTHER, None),
    "arf_opt_out": (_E.OPTED_OUT, None),
}
ANSWERS = {
    "reply_gmail": "STOP",
    "reply_outlook": "Bitte abmelden, danke",
    "reply_html": "When do you open?",
    "reply_telephone": "Unsubscribe",
}
QUIET = ("autoreply_exchange", "autoreply_german", "receipt_read")


@pytest.mark.parametrize(
    ("name", "said", "written", "meaning"),
    [
        ("exim_failed", "550 no such user here", "550 5.1.1 no such user here", (_E.BOUNCED, BAD)),
        ("exim_failed", "550 no such user here", "550-5.1.1 The email account does not exist", (_E.BOUNCED, BAD)),
        ("exim_failed", "550 no such user here", "550 5.7.1 it looks like spam", (_E.BOUNCED, None)),
        ("exim_failed", "550 no such user here", "552 5.2.2 mailbox full", (_E.BOUNCED_SOFT, None)),
        ("exim_failed", "Hello Ana", "Hello Ana, release 5.1.1 is out (#1)", (_E.BOUNCED, None)),
        ("qmail_failed", "(#5.1.1)", "(#5.2.2)", (_E.BOUNCED_SOFT, None)),
    ],
)
def test_a_server_that_speaks_in_sentences_may_write_a_code(
    name: str, said: str, written: str, meaning: tuple[EventName, SuppressionReason | None]
) -> None:
    """In a reply that it quotes, or as qmail does; not in the letter that it returns."""
    raw = sample(name)
    assert said.encode() in raw
    assert told(raw.replace(said.encode(), written.encode())) == [meaning]


@pytest.mark.parametrize("name", MEANINGS)
def test_what_mail_servers_and_mailbox_providers_report(name: str) -> None:
    """Each in our words, about the right message; only a code that blames the address suppresses it."""
    (event,) = read(sample(name), key_of, now=NOW).events
    assert ((event.name, event.suppress), event.message_key) == (MEANINGS[name], KEY)
    assert NOW - timedelta(hours=1) < event.at < NOW
    assert "ana" not in str(event.detail)


@pytest.mark.parametrize("name", QUIET)
def test_nobody_wrote_an_automatic_answer(name: str) -> None:
    """Out-of-office notes and read receipts say nothing, and are no reason to look."""
    assert read(sample(name), key_of, now=NOW) == Fetched()


def test_every_sample_is_tested() -> None:
    """A file without a meaning would prove nothing."""
    assert {file.stem for file in SAMPLES.glob("*.eml")} == {*MEANINGS, *ANSWERS, *QUIET}


@pytest.mark.parametrize("name", MEANINGS)
def test_without_a_seal_that_proves_right_nothing_is_believed(name: str) -> None:
    """Anybody can write a bounce about somebody else's message: it has no events and is put aside."""
    for forged in ("0a1b2c3d-7", "0a1b2c3d-7-00112233aabc", "0a1b2c3d-8-00112233aabb"):
        ended = read(sample(name, forged), key_of, now=NOW)
        assert (ended.events, bool(ended.problem)) == ((), True)


def test_a_person_answers() -> None:
    """Each program quotes in its own way; what somebody said himself is told, and nothing of our letter."""
    for name, words in ANSWERS.items():
        (event,) = read(sample(name), key_of, now=NOW).events
        assert (event.name, event.message_key, event.suppress, event.text) == (_E.REPLIED, KEY, None, words), name


def mail(
    body: str, *headers: str, sender: str = "Ana <ana@x.example>", to: str = f"bounces+{SEALED}@b.example"
) -> bytes:
    return "\r\n".join([f"From: {sender}", f"To: {to}", *headers, "", body]).encode()


def test_only_who_had_the_message_answers_it() -> None:
    """In the address, or as the letter that is answered; a key that only stands in the words is anybody's."""
    answering = f"In-Reply-To: <{SEALED}@shop.example>"
    assert read(mail("STOP", answering, to="hello@shop.example"), key_of, now=NOW).events[0].text == "STOP"
    for raw in (
        mail(f"STOP {SEALED}", to="hello@shop.example"),
        mail("STOP", to="b+0a1b2c3d-8-00112233aabb@b.example"),
    ):
        assert read(raw, key_of, now=NOW) == Fetched(problem="nothing in it proves which message it is about")


def test_a_subject_says_it_alone() -> None:
    """Where nothing else is written; of an answer the subject is our letter's."""
    assert read(mail("", "Subject: Unsubscribe"), key_of, now=NOW).events[0].text == "Unsubscribe"
    assert read(mail("", "Subject: AW: STOP paying too much"), key_of, now=NOW).problem


@pytest.mark.parametrize(
    "subject",
    [
        "=?x-unknown?q?Hello?=",
        "=?utf-8?b?/?=",
        "=?utf-8?q?=FF?=",
        "=?idna?q?=FF?=",
        "=?zlib?q?a?=",
        "R\xe9 =?utf-8?q?x?=",
    ],
)
def test_a_subject_that_nobody_can_decode_costs_no_more_than_itself(subject: str) -> None:
    """An unknown charset, a broken word: what is written below counts, and what can be read of the subject does, too."""
    assert read(mail("STOP", f"Subject: Re: {subject}"), key_of, now=NOW).events[0].text == "STOP"
    assert read(
        mail("STOP", f"Subject: {subject}", "Content-Type: text/plain; charset=undefined"), key_of, now=NOW
    ).events
    assert told(sample("postfix_failed").replace(b"Subject: ", f"Subject: {subject} ".encode())) == [(_E.BOUNCED, BAD)]
    assert read(mail("Away", f"Subject: Automatic reply: {subject}"), key_of, now=NOW) == Fetched()


def test_letters_of_an_unknown_charset_are_read_as_they_are() -> None:
    """Most of them are ASCII's in any charset."""
    assert read(mail("", "Subject: =?x-unknown?q?STOP?="), key_of, now=NOW).events[0].text == "STOP"


@pytest.mark.parametrize(
    "raw",
    [
        mail("STOP", sender="MAILER-DAEMON@mx.example"),
        mail("STOP", "Return-Path: <>"),
        mail("STOP", "Precedence: bulk"),
        mail("STOP", "List-Id: <friends.lists.example>"),
        mail("> STOP\n"),
    ],
)
def test_what_no_person_wrote_is_no_answer(raw: bytes) -> None:
    """It says no that it is automatic, and is put aside: somebody may look."""
    assert read(raw, key_of, now=NOW).problem


def test_the_same_report_is_the_same_and_another_is_another() -> None:
    """Read again after a crash it has the same name, with a Message-ID and without one."""
    for raw in (sample("postfix_failed"), sample("qmail_failed")):
        first, again = read(raw, key_of, now=NOW), read(raw, key_of, now=NOW + timedelta(days=1))
        assert [event.dedupe for event in first.events] == [event.dedupe for event in again.events]
    names = {event.dedupe for name in MEANINGS for event in read(sample(name), key_of, now=NOW).events}
    assert len(names) == len(MEANINGS)


@pytest.mark.parametrize("action", ["failed (bad destination)", "(sorry) Failed", "failed(a (b) c)", "failed;"])
def test_fields_of_reports_may_carry_comments(action: str) -> None:
    """RFC 3464 and RFC 3834 allow them about a word; what is no word that we know stays `other`."""
    raw = sample("postfix_failed")
    assert told(raw.replace(b"Action: failed", f"Action: {action}".encode())) == [(_E.BOUNCED, BAD)]
    assert told(raw.replace(b"Action: failed", b"Action: lost (failed)")) == [(_E.OTHER, None)]
    assert told(sample("arf_abuse").replace(b"Feedback-Type: abuse", b"Feedback-Type: abuse (spam)")) == [
        (_E.COMPLAINED, None)
    ]
    assert read(mail("STOP", "Auto-Submitted: no (by hand)"), key_of, now=NOW).events[0].text == "STOP"


def test_encoded_reports_and_returned_messages_are_read() -> None:
    """Some servers put base64 around what RFC 3464 wants plain."""
    plain = sample("postfix_failed").decode()
    head, _, rest = plain.partition("Content-Type: message/delivery-status\n\n")
    status, _, tail = rest.partition("\n--3D1A5C0041")
    coded = base64.encodebytes(status.encode()).decode()
    raw = (
        f"{head}Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n{coded}\n--3D1A5C0041{tail}"
    )
    assert told(raw.encode()) == [(_E.BOUNCED, BAD)]
    assert told(plain.replace("\n", "\r\n").encode()) == [(_E.BOUNCED, BAD)]


HOSTILE = {
    "empty": b"",
    "binary": bytes(range(256)) * 400,
    "deep": b"".join(b'Content-Type: multipart/report; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3000)),
    "wide": b'Content-Type: multipart/mixed; boundary="x"\n\n' + b"--x\n\na\n" * 20_000,
    "headers": b"".join(b"To: <a@%d.example>\n" % n for n in range(20_000)) + b"\nx",
    "long line": b"Subject: " + b"=?utf-8?q?" + b"a" * 900_000 + b"\n\nx",
    "bad words": b"Subject: =?utf-8?b?////?=\nDate: Mon, 99 Foo 99999\nContent-Type: multipart/report; report-type*0*=x''%FF\n\n",
    "many blocks": sample("postfix_failed").replace(b"Action: failed", b"Action: failed\n\nAction: failed" * 5_000),
    "many keys": sample("postfix_failed", " ".join(f"0a1b2c3d-{n}-00112233aabc" for n in range(9_000))),
    "nulls": sample("postfix_failed").replace(b"5.1.1", b"5.1.1\x00").replace(b"rfc822;", b"\xff\xfe;"),
    "a sentence": b"From: a\n\n" + b"failed addresses follow: " * 30_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mails_end_soon_and_break_nothing(name: str) -> None:
    """Whatever is in it, reading ends, within a fraction of the second that a test may take, with a sane answer."""
    began = time.process_time()
    ended = read(HOSTILE[name], key_of, now=NOW)
    assert len(ended.events) <= 20
    assert time.process_time() - began < 20  # not a measure: a regular expression that runs away never ends


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from([*MEANINGS, *ANSWERS, *QUIET]), data=st.data())
def test_broken_mails_are_read_or_put_aside(name: str, data: st.DataObject) -> None:
    """Real mails with pieces cut out, doubled or replaced never raise, and never speak of another message."""
    raw = bytearray(sample(name))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 200)))
        raw[start:end] = data.draw(st.binary(max_size=40))
    assert {event.message_key for event in read(bytes(raw), key_of, now=NOW).events} <= {KEY}


# ---------------------------------------------------------------- the mailboxes


MAILS = {
    "1772452801.M1.mx": sample("postfix_failed"),
    "1772452802.M2.mx": b"\xff\x00 not even a header",
    "1772452803.M3.mx": sample("autoreply_exchange"),
    "1772452804.M4.mx": sample("arf_abuse"),
}
FOUND = [(_E.BOUNCED, False), (None, True), (None, False), (_E.COMPLAINED, False)]


def look(inbox: Inbox) -> list[tuple[EventName | None, bool]]:
    return [(mail.events[0].name if mail.events else None, bool(mail.problem)) for mail in inbox.fetch(key_of, now=NOW)]


def maildir(folder: Path) -> Path:
    for part in ("new", "cur", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return folder


def test_a_maildir_gives_each_mail_once_and_keeps_what_it_cannot_read(tmp_path: Path) -> None:
    """The oldest first, from `new` and from `cur`; then the inbox is empty, and one lies aside."""
    box = maildir(tmp_path / "box")
    for number, (name, raw) in enumerate(MAILS.items()):
        (box / "new" / name if number % 2 else box / "cur" / f"{name}:2,S").write_bytes(raw)
    (box / "new" / "1772452899.M9.mx").mkdir()
    inbox = Maildir(MaildirSettings(maildir=box))
    assert look(inbox) == [*FOUND, (None, True)]
    assert (inbox.aside, look(inbox)) == (2, [])
    assert len(list((box / ".regulars-taken" / "cur").iterdir())) == 3
    (box / ".regulars-aside" / "cur" / "1772452802.M2.mx:2,S").unlink()
    assert (look(inbox), inbox.aside) == ([], 1)


def test_a_mail_stays_until_the_next_is_asked_for(tmp_path: Path) -> None:
    """Whoever dies between reading and storing finds it again; another daemon may have taken the others meanwhile."""
    box = maildir(tmp_path / "box")
    for name, raw in MAILS.items():
        (box / "new" / name).write_bytes(raw)
    inbox = Maildir(MaildirSettings(maildir=box))
    mails = inbox.fetch(key_of, now=NOW)
    first = next(mails)
    mails.close()
    assert next(again := inbox.fetch(key_of, now=NOW)) == first
    other = Maildir(MaildirSettings(maildir=box))
    assert look(other) == FOUND
    assert list(again) == []


def test_a_maildir_that_is_none_is_said_so(tmp_path: Path) -> None:
    """A wrong path, or a folder without `new`."""
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ProviderError, match="maildir"):
            look(Maildir(MaildirSettings(maildir=folder)))


@pytest.fixture(scope="module", params=[False, True], ids=["", "old"])
def dovecot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    folder = tmp_path_factory.mktemp("certificates")
    ca_file, _ = authority(folder)
    with running(folder / "server.pem", ca_file, old=request.param) as server:
        yield server


def imap(dovecot: Dovecot, *, security: str = "tls", **changes: object) -> Imap:
    os.environ["IMAP_PASSWORD"] = "right"
    asked = {"imap": "localhost", "username": "bounces", "password": "${env:IMAP_PASSWORD}", "security": security}
    port = dovecot.tls if security == "tls" else dovecot.plain
    return Imap(ImapSettings.model_validate({**asked, "port": port, "ca_file": dovecot.ca_file, **changes}))


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_an_imap_mailbox_gives_each_mail_once(dovecot: Dovecot, security: str) -> None:
    """Against Dovecot: the same four mails, moved to the folders beside the inbox one by one."""
    inbox = imap(dovecot, security=security)
    list(inbox.fetch(key_of, now=NOW))
    before = inbox.aside
    for name, raw in MAILS.items():
        dovecot.deliver(f"{name}.{security}", raw)
    mails = inbox.fetch(key_of, now=NOW)
    first = next(mails)
    mails.close()
    assert [event.name for event in first.events] == [_E.BOUNCED]
    assert look(inbox) == FOUND
    assert (look(inbox), inbox.aside) == ([], before + 1)


def test_an_imap_server_that_cannot_be_used_is_said_so_without_secrets(
    dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong folder, a certificate nobody vouches for, no server, a wrong password: each names its step and no secret."""
    cases = {"open the folder": {"folder": "Nowhere"}, "connect": {"ca_file": None}}
    for step, change in cases.items():
        with pytest.raises(ProviderError, match=step):
            look(imap(dovecot, **change))
    with pytest.raises(ProviderError, match="connect"):
        look(imap(dovecot, port=1))
    inbox = imap(dovecot)
    monkeypatch.setenv("IMAP_PASSWORD", "wrong-secret")
    with pytest.raises(ProviderError, match="log in") as failed:
        look(inbox)
    assert "wrong-secret" not in str(failed.value) and "bounces" not in str(failed.value)


def test_no_password_goes_in_clear() -> None:
    """A server on another machine needs TLS."""
    with pytest.raises(ValueError, match="without TLS"):
        ImapSettings.model_validate(
            {"imap": "mail.shop.example", "username": "b", "password": "${env:P}", "security": "none"}
        )

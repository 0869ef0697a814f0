"""SMTP: on which side of the final dot something went wrong, and connections that are kept, protected and left in time."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from channels import mime
from channels.smtp import Smtp, SmtpSettings
from engine.model import SuppressionReason
from engine.provider import Accepted, Ambiguous, Http, NotSent, Outcome, Outgoing, Rejected
from engine.testing.vendors.server import Reset, Silence, closed_port
from engine.testing.vendors.smtp import Refusal, SmtpVendor
from tests.channels.certificates import authority
from tests.channels.messages import EMAIL, letter, soon
from tests.channels.tiny_smtp import CLOSE, DRIP, FLOOD, PIPELINING, RESET, RIGHT, SILENT, TinySmtp


@contextmanager
def opened(port: int, **settings: Any) -> Iterator[Smtp]:
    given = {"host": "127.0.0.1", "port": port, "security": "none", **settings}
    provider = Smtp(SmtpSettings.model_validate(given), http=Http())
    try:
        yield provider
    finally:
        provider.close()


pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")
LONG = ("x" * 70 + "\n") * 400_000
"""More than the buffers of a connection take up."""
OFFERS = pytest.mark.parametrize("offers", [RIGHT["EHLO"], PIPELINING], ids=["one by one", "pipelined"])


def sent(port: int, outgoing: Outgoing = EMAIL, *, within: float = 5.0, **settings: Any) -> Outcome:
    with opened(port, **settings) as provider:
        outcome = provider.send(outgoing, deadline=soon(within))
    assert "ana@" not in repr(outcome) and "hidden" not in repr(outcome)
    return outcome


# ---------------------------------------------------------------- the evidence of each step


@OFFERS
@pytest.mark.parametrize("step", ["banner", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    "fault", [CLOSE, RESET, SILENT, DRIP, FLOOD, "421 4.3.2 leaving", "450 4.2.0 later", "hello", "999 ?"]
)
def test_before_the_dot_nothing_was_taken(step: str, fault: str, offers: str) -> None:
    """Whatever a server does before the final dot, the message surely was not taken, and the deadline holds."""
    with TinySmtp({"EHLO": offers, step: fault}) as server:
        began = time.monotonic()
        outcome = sent(server.port, within=0.3)
        assert isinstance(outcome, NotSent), outcome
        assert time.monotonic() - began < 5  # the deadline, and a second to say goodbye
        assert not server.messages


@OFFERS
@pytest.mark.parametrize(
    "fault", [CLOSE, RESET, SILENT, DRIP, FLOOD, "421 4.3.2 leaving", "hello", "354 ?", "999 ?", "1"]
)
def test_after_the_dot_only_a_code_is_an_answer(fault: str, offers: str) -> None:
    """Once the dot has left, silence, a closed connection, 421 or nonsense prove nothing: the message is in doubt."""
    with TinySmtp({"EHLO": offers, "dot": fault}) as server:
        began = time.monotonic()
        outcome = sent(server.port, within=1)
        assert isinstance(outcome, Ambiguous), outcome
        assert time.monotonic() - began < 5
        assert len(server.messages) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        ("250 2.0.0 queued", Accepted, None),
        ("200 fine", Accepted, None),
        ("451 4.3.0 try later", NotSent, "4.3.0"),
        ("452 disk full", NotSent, "452"),
        ("550 5.7.1 looks like spam", Rejected, "5.7.1"),
        ("554 no", Rejected, "554"),
        ("550-5.7.26 two lines\r\n550 5.7.26 of policy", Rejected, "5.7.26"),
    ],
)
def test_any_code_to_the_dot_decides(reply: str, kind: type[Outcome], code: str | None) -> None:
    """2xx is taken, 4xx is not taken, 5xx is refused for good; none of the policy codes suppresses."""
    with TinySmtp({"dot": reply}) as server:
        outcome = sent(server.port)
        assert isinstance(outcome, kind)
        assert getattr(outcome, "code", None) == code
        assert getattr(outcome, "suppress", None) is None


@OFFERS
@pytest.mark.parametrize(
    ("step", "reply", "kind", "suppressed"),
    [
        ("RCPT", "550 5.1.1 <ana@customer.example>: no such user", Rejected, True),
        ("RCPT", "550 5.1.10 null MX", Rejected, True),
        ("RCPT", "550 5.2.1 disabled", Rejected, True),
        ("RCPT", "550 no such user", Rejected, False),
        ("RCPT", "552 5.2.2 mailbox full", Rejected, False),
        ("RCPT", "550 5.7.1 policy: ana@customer.example", Rejected, False),
        ("RCPT", "550 5.1.8 bad sender", Rejected, False),
        ("RCPT", "550 4.1.1 odd", Rejected, False),
        ("RCPT", "450 4.1.1 unknown for now", NotSent, False),
        ("RCPT", "530 5.7.0 log in first", NotSent, False),
        ("RCPT", "503 5.5.1 need MAIL", NotSent, False),
        ("MAIL", "552 5.3.4 too big", Rejected, False),
        ("MAIL", "550 5.1.1 sender unknown", NotSent, False),
        ("MAIL", "530 5.7.0 log in first", NotSent, False),
        ("DATA", "554 5.1.1 no valid recipients", Rejected, False),
        ("banner", "554 5.7.1 you are blocked", NotSent, False),
        ("EHLO", "550 5.7.1 go away", NotSent, False),
    ],
)
def test_refusals_before_the_dot(step: str, reply: str, kind: type[Outcome], suppressed: bool, offers: str) -> None:
    """5xx at RCPT refuses the message; only codes about the address itself suppress it; 5xx at MAIL is our set-up."""
    with TinySmtp({"EHLO": offers, step: reply}) as server:
        outcome = sent(server.port)
        assert isinstance(outcome, kind), outcome
        expected = SuppressionReason.BOUNCED if suppressed else None
        assert getattr(outcome, "suppress", None) is expected


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "dot"])
def test_every_code_at_every_step_is_no_yes_and_no_doubt(step: str) -> None:
    """400 to 599, without an enhanced code: 4xx is not taken, 5xx is not taken or refused, and blames no address. But for 421
    after the dot: the server is leaving, and does not say with what.
    """
    for code in range(400, 600):
        with TinySmtp({step: f"{code} no"}) as server:
            outcome = sent(server.port)
        unknown = (step, code) == ("dot", 421)
        expected = Ambiguous if unknown else NotSent if code < 500 else NotSent | Rejected
        assert isinstance(outcome, expected), (code, outcome)
        assert getattr(outcome, "suppress", None) is None, code


def test_no_server_is_not_sent() -> None:
    """Nobody listens, or the name does not resolve: not sent."""
    assert isinstance(sent(closed_port()), NotSent)
    assert isinstance(sent(25, host="mail.invalid"), NotSent)


# ---------------------------------------------------------------- a real server


def test_a_real_server_refuses_and_doubts() -> None:
    """aiosmtpd: an unknown address, a full one, a code to the dot, and silence or a reset after it, taken or not."""

    def refuse(address: str) -> str | None:
        return {"gone@customer.example": "550 5.1.1 unknown", "full@customer.example": "450 4.2.2 full"}.get(address)

    with SmtpVendor(refuse=refuse) as vendor, opened(vendor.port) as provider:
        gone = provider.send(letter(to="gone@customer.example"), deadline=soon())
        full = provider.send(letter(to="full@customer.example"), deadline=soon())
        assert isinstance(gone, Rejected) and gone.suppress is SuppressionReason.BOUNCED
        assert isinstance(full, NotSent) and full.code == "4.2.2"
        vendor.fail_next(Refusal(reply="451 4.3.0 later"), Refusal(reply="554 5.6.0 content"))
        assert isinstance(provider.send(EMAIL, deadline=soon()), NotSent)
        assert isinstance(provider.send(EMAIL, deadline=soon()), Rejected)
        assert not vendor.accepted
        for taken in (False, True):
            for fault in (Silence(taken=taken), Reset(taken=taken)):
                vendor.fail_next(fault)
                assert isinstance(provider.send(EMAIL, deadline=soon(0.3)), Ambiguous)
        assert len(vendor.accepted) == 2
        assert isinstance(provider.send(EMAIL, deadline=soon()), Accepted)
        assert vendor.accepted[0].raw == vendor.accepted[-1].raw


def test_an_address_beyond_ascii_needs_smtputf8() -> None:
    """With SMTPUTF8 offered such an address is written to; without, the message is refused before it leaves."""
    outgoing = letter(to="анна@customer.example")
    with SmtpVendor() as vendor:
        assert isinstance(sent(vendor.port, outgoing), Accepted)
        assert vendor.accepted[0].to == outgoing.to
    with SmtpVendor(smtputf8=False) as vendor, opened(vendor.port) as provider:
        outcome = provider.send(outgoing, deadline=soon())
        assert outcome == Rejected(code="smtputf8", detail="the server cannot take an address that is not ASCII")
        assert isinstance(provider.send(EMAIL, deadline=soon()), Accepted)
        assert [taken.to for taken in vendor.accepted] == [EMAIL.to]


def test_bounces_go_where_they_should() -> None:
    """The envelope's sender is the From address, or return_path where it is set."""
    with SmtpVendor() as vendor:
        sent(vendor.port)
        sent(vendor.port, return_path="bounces@shop.example")
        assert [m.headers["Return-Path"] for m in vendor.accepted] == ["hello@shop.example", "bounces@shop.example"]


@pytest.mark.parametrize(
    "text",
    [
        ".\r\n",
        "a\r\n.\r\nMAIL FROM:<x@evil.example>\r\n",
        "\n.\n\r.\r\r\n.\n",
        ".\n" * 500,
        "QUIT\n.",
        ".a\n..b\n...\n.. c\n",
    ],
)
def test_no_text_ends_the_message_early(text: str) -> None:
    """Dots and line ends in the text stay text: one message goes in, the same one comes out (SMTP smuggling)."""
    outgoing = letter(text=text, html=text)
    with TinySmtp() as server:
        assert isinstance(sent(server.port, outgoing), Accepted)
        (message,) = server.messages
        assert b"\n" not in message.replace(b"\r\n", b"")
        assert re.sub(rb"(?m)^\.", b"", message) == mime.build(outgoing)
        assert [line.split(" ")[0] for line in server.commands] == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize("pace", [SILENT, DRIP])
def test_a_server_that_takes_its_time_to_read_is_left(pace: str) -> None:
    """A server that takes the message up slowly, or not at all, cannot hold the sender; the dot never left."""
    with TinySmtp({"body": pace, "EHLO": "250 tiny"}) as server:
        began = time.monotonic()
        assert isinstance(sent(server.port, letter(text=LONG), within=1.0), NotSent)
        assert time.monotonic() - began < 3
        assert not server.messages


# ---------------------------------------------------------------- connections


def test_text_beyond_ascii_goes_as_it_is_where_the_server_takes_it() -> None:
    """8BITMIME offered: eight bits, and MAIL says so; not offered: seven. Each time the same bytes to the same server."""
    outgoing = letter(subject="Grüße", text="Grüße, Ana\n", html="<p>Grüße</p>\n")
    for offers, eight_bit in (
        (RIGHT["EHLO"], False),
        (PIPELINING.replace("PIPELINING", "8BITMIME"), True),
        ("250-tiny\r\n250 8bitmime", True),
    ):
        with TinySmtp({"EHLO": offers}) as server:
            assert isinstance(sent(server.port, outgoing), Accepted) and isinstance(
                sent(server.port, outgoing), Accepted
            )
            assert server.messages == [mime.build(outgoing, eight_bit=eight_bit)] * 2
            assert server.messages[0].isascii() is not eight_bit
            mail = next(command for command in server.commands if command.startswith("MAIL"))
            assert ("BODY=8BITMIME" in mail) is eight_bit
            assert (f"SIZE={len(server.messages[0])}" in mail) is ("SIZE" in offers)


def test_an_international_sender_needs_smtputf8_too() -> None:
    """What makes a header UTF-8 asks for SMTPUTF8, even where both addresses of the envelope are ASCII."""
    outgoing = replace(EMAIL, sender="Shop <анна@shop.example>")
    with TinySmtp({"EHLO": "250-tiny\r\n250-8BITMIME\r\n250 SMTPUTF8"}) as server:
        assert isinstance(sent(server.port, outgoing, return_path="bounces@shop.example"), Accepted)
        assert "SMTPUTF8" in server.commands[1]
    with TinySmtp() as server:
        assert isinstance(sent(server.port, outgoing, return_path="bounces@shop.example"), Rejected)


def test_a_bounce_can_tell_its_message() -> None:
    """`{key}` in return_path is the message's key (VERP); a return_path that is no address is refused at once."""
    with TinySmtp() as server:
        assert isinstance(sent(server.port, return_path="bounces+{key}@bücher.example"), Accepted)
        assert server.commands[1].startswith(f"MAIL FROM:<bounces+{EMAIL.key}@xn--bcher-kva.example>")


def test_a_connection_is_reused_and_renewed() -> None:
    """One connection carries messages_per_connection messages, then a new one is opened."""
    with SmtpVendor() as vendor, opened(vendor.port, messages_per_connection=3) as provider:
        for _ in range(7):
            assert isinstance(provider.send(EMAIL, deadline=soon()), Accepted)
        assert (len(vendor.accepted), vendor.connections) == (7, 3)


def test_threads_do_not_share_a_connection() -> None:
    """A connection carries one thread's message at a time; none of the messages is mixed up, no connection is left behind."""
    with SmtpVendor() as vendor, opened(vendor.port) as provider:
        outcomes: list[Outcome] = []

        def work(thread: int) -> None:
            for number in range(10):
                outgoing = replace(EMAIL, key=f"0a1b2c3d-{thread}{number}", to=f"t{thread}@customer.example")
                outcomes.append(provider.send(outgoing, deadline=soon(20)))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert vendor.connections <= 4 and len(provider.pool.idle) == vendor.connections
        assert len({taken.key for taken in vendor.accepted}) == 40
        assert all((taken.to or "")[1] == (taken.key or "").partition("-")[2][0] for taken in vendor.accepted)


def test_a_dead_connection_costs_nothing() -> None:
    """A kept connection that the server closed meanwhile is replaced within the same hand-over."""
    with TinySmtp({"RSET": CLOSE}) as server, opened(server.port) as provider:
        assert isinstance(provider.send(EMAIL, deadline=soon()), Accepted)
        (connection,) = provider.pool.idle
        assert connection.sock
        connection.sock.shutdown(2)
        assert isinstance(provider.send(EMAIL, deadline=soon()), Accepted)
        assert server.connections == 2


@pytest.mark.parametrize(
    ("quiet", "stale", "noop", "asked", "connections"),
    [(60, 60, "250 ok", 0, 1), (0, 60, "250 ok", 1, 1), (0, 60, "421 4.4.2 timed out", 1, 2), (0, 0, "250 ok", 0, 2)],
    ids=["fresh", "idle", "timed out", "stale"],
)
def test_an_idle_connection_is_asked_first(quiet: float, stale: float, noop: str, asked: int, connections: int) -> None:
    """After a pause a connection is tried with NOOP before a message is risked on it; after a long one it is left."""
    with TinySmtp({"NOOP": noop}) as server, opened(server.port) as provider:
        provider.pool.quiet_seconds, provider.pool.stale_seconds = quiet, stale
        for _ in range(2):
            assert isinstance(provider.send(EMAIL, deadline=soon()), Accepted)
        assert (server.commands.count("NOOP"), server.connections) == (asked, connections)


def test_an_interrupted_message_ends_its_connection() -> None:
    """Stopped in the middle of a message (Ctrl-C), the connection is never used again: the next words would be its text."""

    class Interrupted(Smtp):
        def words(self, text: object, outgoing: Outgoing) -> str:
            raise KeyboardInterrupt

    with TinySmtp({"RCPT": "450 later"}) as server, opened(server.port) as provider:
        interrupted = Interrupted(provider.settings, http=provider.http)
        with pytest.raises(KeyboardInterrupt):
            interrupted.send(EMAIL, deadline=soon())
        assert not interrupted.pool.idle and len(server.commands) == 3


def test_after_a_refusal_the_connection_goes_on() -> None:
    """A refused recipient leaves nothing behind for the next message on the same connection."""
    with SmtpVendor(refuse=lambda address: "550 5.1.1 no" if address.startswith("gone") else None) as vendor:
        with opened(vendor.port) as provider:
            assert isinstance(provider.send(letter(to="gone@customer.example"), deadline=soon()), Rejected)
            assert isinstance(provider.send(EMAIL, deadline=soon()), Accepted)
        assert vendor.connections == 1
        assert [taken.to for taken in vendor.accepted] == [EMAIL.to]


# ---------------------------------------------------------------- TLS and AUTH


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("T_SMTP_PASSWORD", "hidden-password")
    return "${env:T_SMTP_PASSWORD}"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_protected_and_logged_in(tmp_path: Path, password: str, security: str) -> None:
    """STARTTLS and TLS from the first byte, the certificate checked, then AUTH."""
    ca_file, context = authority(tmp_path)
    users = {"regulars": "hidden-password"}
    with SmtpVendor(users=users, tls=context, implicit_tls=security == "tls") as vendor:
        asked: dict[str, Any] = {"security": security, "ca_file": ca_file, "username": "regulars", "password": password}
        assert isinstance(sent(vendor.port, host="localhost", **asked), Accepted)
        wrong = sent(vendor.port, host="localhost", **{**asked, "username": "somebody"})
        assert isinstance(wrong, NotSent) and wrong.code == "connect_535"
        assert len(vendor.accepted) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("flaw", ["unknown authority", "other name", "expired"])
def test_a_wrong_certificate_gets_no_password(tmp_path: Path, password: str, security: str, flaw: str) -> None:
    """A certificate of an unknown authority, for another name or out of date ends the connection before AUTH."""
    name, days = ("mail.evil.example" if flaw == "other name" else "localhost"), (-1 if flaw == "expired" else 1)
    ca_file, context = authority(tmp_path, name=name, days=days)
    with SmtpVendor(users={"regulars": "hidden-password"}, tls=context, implicit_tls=security == "tls") as vendor:
        asked: dict[str, Any] = {"security": security, "username": "regulars", "password": password}
        if flaw != "unknown authority":
            asked["ca_file"] = ca_file
        outcome = sent(vendor.port, host="localhost", **asked)
        assert isinstance(outcome, NotSent) and outcome.detail == "SSLCertVerificationError"
        assert not vendor.accepted


def test_starttls_is_never_given_up(password: str) -> None:
    """A server, or somebody between, that does not offer STARTTLS gets neither password nor message."""
    with TinySmtp({"EHLO": "250-tiny\r\n250 AUTH PLAIN"}) as server:
        outcome = sent(server.port, security="starttls", username="regulars", password=password)
        assert isinstance(outcome, NotSent) and "STARTTLS" in outcome.detail
        assert [command.split(" ")[0] for command in server.commands] == ["EHLO"]


def test_what_is_said_before_tls_does_not_count(tmp_path: Path, password: str) -> None:
    """A reply pushed in before the handshake is not read as if the protected server had said it (STARTTLS injection)."""
    ca_file, context = authority(tmp_path)
    pushed = "220 go\r\n250-evil\r\n250 AUTH PLAIN"
    with TinySmtp({"EHLO": "250-tiny\r\n250 STARTTLS", "STARTTLS": pushed}, tls=context) as server:
        asked: dict[str, Any] = {"host": "localhost", "security": "starttls", "ca_file": ca_file}
        outcome = sent(server.port, username="regulars", password=password, **asked)
        assert isinstance(outcome, NotSent) and "no way to log in" in outcome.detail
        assert not [command for command in server.commands if command.startswith("AUTH")]
        assert isinstance(sent(server.port, **asked), Accepted)


@pytest.mark.parametrize(
    ("mechanism", "said"),
    [
        ("PLAIN", {"AUTH": "235 ok"}),
        ("LOGIN", {"AUTH": "334 VXNlcm5hbWU6", "DGLT": "334 UGFzc3dvcmQ6", "DGFUC3RHYWZ0YW5ZDGFHZG==": "235 ok"}),
        (
            "CRAM-MD5",
            {
                "AUTH": "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
                "DGLTIGI5MTNHNJAYYZDLZGE3YTQ5NWI0ZTZLNZMZNGQZODKW": "235 ok",
            },
        ),
    ],
)
def test_each_way_to_log_in(monkeypatch: pytest.MonkeyPatch, mechanism: str, said: dict[str, str]) -> None:
    """PLAIN, LOGIN and CRAM-MD5 (the example of RFC 2195 §2), whichever is offered; any other end is a failed log-in."""
    monkeypatch.setenv("T_SMTP_PASSWORD", "tanstaaftanstaaf")
    asked = {"username": "tim", "password": "${env:T_SMTP_PASSWORD}"}
    offers = {"EHLO": f"250-tiny\r\n250-AUTH=NTLM\r\n250 AUTH GSSAPI {mechanism}"}
    with TinySmtp({**offers, **said}) as server:
        assert isinstance(sent(server.port, **asked), Accepted)
        assert server.commands[1].startswith(f"AUTH {mechanism}")
        assert not [command for command in server.commands[4:] if command.startswith(("AUTH", "EHLO"))]
    for step in said:
        with TinySmtp({**offers, **said, step: "535 5.7.8 no"}) as server:
            assert sent(server.port, **asked) == NotSent(code="connect_535", detail="5.7.8 no", no_access=True)
            assert not server.messages


def test_settings_that_would_show_a_password_are_refused(password: str) -> None:
    """No password without TLS, but to this machine; no user without a password; no password in the file."""
    bad: list[dict[str, Any]] = [
        {"host": "mail.shop.example", "security": "none", "username": "u", "password": password},
        {"host": "mail.shop.example", "username": "u"},
        {"host": "mail.shop.example", "username": "u", "password": "hidden-password"},
        {"host": "mail.shop.example", "return_path": "not an address"},
        {"host": "mail.shop.example", "tls": "yes"},
        {"host": "mail shop"},
    ]
    for given in bad:
        with pytest.raises(ValidationError):
            SmtpSettings.model_validate(given)
    for host in ("127.0.0.1", "::1", "localhost"):
        given = {"host": host, "security": "none", "username": "${env:T_USER}", "password": password}
        assert len(SmtpSettings.model_validate(given).secrets()) == 2


def test_a_missing_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable nothing is sent, and the operator is told which one it is."""
    monkeypatch.delenv("T_SMTP_PASSWORD", raising=False)
    with TinySmtp({"EHLO": "250-tiny\r\n250 AUTH PLAIN"}) as server:
        outcome = sent(server.port, username="u", password="${env:T_SMTP_PASSWORD}")
        assert outcome == NotSent(code="set_up", detail="the environment variable T_SMTP_PASSWORD is not set")

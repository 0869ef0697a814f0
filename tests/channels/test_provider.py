"""The ground that providers stand on: secrets, safe text, one deadline, and what a broken call proves."""

from __future__ import annotations

import base64
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import ProviderError, SecretMissing
from engine.model import EventName
from engine.provider import (
    USUAL_WAIT,
    Accepted,
    Ambiguous,
    Answer,
    Http,
    NotSent,
    ProviderEvent,
    ProviderSettings,
    Rejected,
    Secret,
    SecretRef,
    TextOrSecret,
    outcome_of_status,
    retry_after,
    reveal,
    safe_header,
    storable,
    told_to_wait,
    until_reset,
    without_personal,
)
from engine.sending.breaker import tells_nothing
from engine.testing.vendors.server import Drip, HttpVendor, Received, Reply, Request
from tests.channels.certificates import authority
from tests.channels.messages import NOW, soon


class Echo(HttpVendor):
    """Answers with the headers it got."""

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        return Reply(status=200, body=dict(request.headers)), None


@pytest.fixture
def http() -> Iterator[Http]:
    http = Http()
    yield http
    http.close()


# ---------------------------------------------------------------- secrets


class Account(ProviderSettings):
    name: TextOrSecret
    key: SecretRef
    spare: SecretRef | None = None


def test_secrets_are_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is read when it is needed, and never shown; a value in its place is refused without being repeated."""
    monkeypatch.setenv("T_KEY", "canary-value")
    account = Account.model_validate({"name": "${env:T_NAME}", "key": "${env:T_KEY}"})
    assert account.key.reveal() == "canary-value" and "canary-value" not in repr(account)
    assert account.secrets() == (Secret("T_NAME"), Secret("T_KEY"))
    assert reveal("plain") == "plain" and Account.model_validate({"name": "n", "key": "${env:T_KEY}"}).name == "n"
    with pytest.raises(SecretMissing, match="T_NAME"):
        reveal(account.name)
    for wrong in ("canary-value", "${T_KEY}", "${env:}", "x${env:T_KEY}", "${env:T_KEY}x"):
        with pytest.raises(ValidationError) as caught:
            Account.model_validate({"name": "n", "key": wrong})
        assert "put ${env:NAME} here" in str(caught.value)


# ---------------------------------------------------------------- text


@given(st.text(st.characters()))
def test_a_safe_header_is_one_line(value: str) -> None:
    """No control character, no line separator, no encoded word is left; what was safe stays as it was."""
    safe = safe_header(value)
    assert len(safe.splitlines()) <= 1 and not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in safe)
    safe.encode()
    assert safe_header(safe) == safe


def test_encoded_words_are_broken_up() -> None:
    """What a mail program would decode is not left to be decoded; an innocent question stays."""
    assert safe_header("=?utf-8?q?a=0Ab?=") == "= ?utf-8?q?a=0Ab?="
    assert safe_header("=?=?x?B?YQ==?=") == "=?= ?x?B?YQ==?="
    assert safe_header("2+2=? or a?=b") == "2+2=? or a?=b"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("550 5.1.1 <ana@customer.example>: no such user", "550 5.1.1 <…>: no such user"),
        ("The number +358 40 123 4567 is not valid", "The number … is not valid"),
        ("The number 358401234567 is not valid", "The number … is not valid"),
        ("call 555-123-4567", "call …"),
        ("no handle @ana@social.example here", "no handle … here"),
        ("see https://x.example/?to=ana%40customer.example", "see https://x.example/?to=…"),
        ("550 5.7.1 policy 421 of 2026", "550 5.7.1 policy 421 of 2026"),
        ("key CANARY-value and Canary-Value", "key … and …"),
        ("a\r\nb\x1b[2J", "a b [2J"),
    ],
)
def test_a_vendors_words_lose_who(text: str, kept: str) -> None:
    """Addresses, numbers and known secrets are struck out; codes and reasons stay."""
    assert without_personal(text, "canary-value") == kept.replace("=…", "=…")


def test_a_vendors_words_are_short() -> None:
    """A page of HTML does not become a detail, and known words are found before the text is cut."""
    assert len(without_personal("x " * 5000)) <= 200
    assert "canary" not in without_personal("y" * 195 + "canary-value", "canary-value")
    began = time.monotonic()
    for monster in ("x" * 1_000_000, "@" * 1_000_000, "+1" * 500_000, "1 " * 500_000, "%40" * 300_000):
        assert len(without_personal(monster, "canary-value")) <= 200
    assert time.monotonic() - began < 5


def test_what_databases_cannot_hold_is_taken_out() -> None:
    """NUL and half surrogate pairs go; None is empty; everything else stays."""
    assert storable("a\x00b\ud800c") == "ab?c" and storable(None) == "" and storable("Grüße 🎉\n") == "Grüße 🎉\n"


# ---------------------------------------------------------------- answers


def test_retry_after_understands_both_forms() -> None:
    """Seconds or a date, never below nothing or above the cap; nonsense is no answer."""
    later = {"retry-after": "Mon, 02 Mar 2026 12:05:00 GMT"}
    assert retry_after(later, now=NOW) == timedelta(minutes=5)
    assert retry_after(later, now=NOW + timedelta(hours=1)) == timedelta()
    assert retry_after({"retry-after": "Mon, 02 Mar 2026 12:05:00 -0000"}, now=NOW) == timedelta(minutes=5)
    assert retry_after({"retry-after": "90"}) == timedelta(seconds=90)
    assert retry_after({"retry-after": "9" * 400}) == timedelta(hours=1)
    for nonsense in (
        "",
        "soon",
        "-1",
        "²",
        "1e9",
        "Mon, 02 Mar 99999999999 12:05:00 GMT",
        "Mon, 31 Feb 2026 12:05:00 GMT",
    ):
        assert retry_after({"retry-after": nonsense}, now=NOW) is None
    assert retry_after({}, now=NOW) is None


@given(
    st.text()
    | st.from_regex(
        r"(Mon, )?-?[0-9]{1,6} Mar [0-9]{1,14} [0-9]{1,3}:[0-9]{1,3}:[0-9]{1,3} ([+-][0-9]{1,9}|GMT|EST)",
        fullmatch=True,
    )
)
def test_retry_after_whatever_it_is_raises_nothing_and_stays_within_its_cap(written: str) -> None:
    """A vendor's header is foreign text: an hour at most, and never an error that would put the message in doubt."""
    told = retry_after({"retry-after": written}, now=NOW)
    assert told is None or timedelta() <= told <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (str(int(NOW.timestamp()) + 240), timedelta(minutes=4)),
        ("2026-03-02T12:04:00.123456Z", timedelta(minutes=4)),
        ("2026-03-02T14:04:00+02:00", timedelta(minutes=4)),
        ("2026-03-02T12:04:00", timedelta(minutes=4)),
        ("2026-03-02T11:00:00Z", timedelta()),
        ("9" * 40, timedelta(hours=1)),
        ("9999-12-31T23:59:59Z", timedelta(hours=1)),
        ("0001-01-01T00:00:00+14:00", timedelta()),
        ("", None),
        ("soon", None),
        ("-5", None),
    ],
)
def test_when_a_limit_begins_anew_in_both_forms(written: str, left: timedelta | None) -> None:
    """Seconds since 1970 or ISO 8601; nonsense is no answer."""
    told = until_reset({"reset": written}, "reset", now=NOW)
    assert told == left or (told is not None and left is not None and abs(told - left) < timedelta(seconds=1))


def test_whoever_asks_to_wait_is_waited_for() -> None:
    """By the first header that tells it, nothing at all being a time, too; a minute where none does. The breaker counts none of them."""
    soon_again, past = {"reset": "2"}, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert told_to_wait({"retry-after": "0", "reset": "99999999999"}, "reset") == timedelta()
    assert told_to_wait({"retry-after": "x", **soon_again}, "other", "reset", usual=timedelta(hours=1)) == timedelta()
    assert told_to_wait({"reset": "x"}, "reset", usual=timedelta(minutes=7)) == timedelta(minutes=7)
    for headers, wait in (({}, USUAL_WAIT), ({"retry-after": "0"}, timedelta()), (past, timedelta())):
        outcome = outcome_of_status(Answer(status=429, headers=headers, body=b""))
        assert outcome == NotSent(code="http_429", retry_after=wait) and tells_nothing(outcome)


def test_statuses_without_codes_of_their_own() -> None:
    """Redirects that keep the method say that our address is wrong; other redirects and 1xx prove nothing."""
    meant = {301: NotSent, 302: Ambiguous, 303: Ambiguous, 307: NotSent, 308: NotSent, 400: Rejected, 600: Ambiguous}
    for status, kind in meant.items():
        assert isinstance(outcome_of_status(Answer(status=status, headers={}, body=b"")), kind)


@pytest.mark.parametrize("text", ["", "null", "[1]", '"x"', "{", "[" * 100_000, '{"a":' * 100_000, "1" * 5000])
def test_a_body_that_is_no_object_is_empty(text: str) -> None:
    """Fields are read from a JSON object or not at all; no body makes it raise."""
    assert Answer(status=200, headers={}, body=text.encode()).fields() == {}


# ---------------------------------------------------------------- the call


def test_connections_are_kept_and_counted(http: Http) -> None:
    """Calls of one thread share a connection, and each call's evidence is its own."""
    with Echo() as vendor:
        for _ in range(3):
            assert isinstance(http.call("POST", vendor.url, deadline=soon(), body=b"x"), Answer)
        assert len(vendor._connections) == 1
        vendor.fail_next(Drip(seconds=0.05))
        assert isinstance(http.call("POST", vendor.url, deadline=soon(0.2), body=b"x"), Ambiguous)
        assert isinstance(http.call("POST", vendor.url, deadline=0.0), NotSent)
        assert isinstance(http.call("POST", vendor.url, deadline=soon(), body={"a": "b"}), Answer)


class Mirror(HttpVendor):
    """Answers with the request itself."""

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        told = {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "headers": request.headers,
        }
        return Reply(status=200, body={**told, "body": request.body.decode()}), None


def test_a_request_leaves_as_it_was_meant(http: Http) -> None:
    """With and without a body, form or bytes, query, credentials and headers: what arrives is what was asked for, each time."""
    with Mirror() as vendor:
        for _ in range(2):  # the second call finds the connection of the first
            got = http.call("GET", f"{vendor.url}/a b?x=1", deadline=soon(), query={"to": "+1 2", "é": "ü&"})
            assert isinstance(got, Answer)
            told = got.fields()
            assert (told["method"], told["path"], told["body"]) == ("GET", "/a%20b", "")
            assert told["query"] == {"x": "1", "to": "+1 2", "é": "ü&"}
            assert "content-length" not in told["headers"] and told["headers"]["user-agent"] == "regulars"
            got = http.call("POST", vendor.url, deadline=soon(), body={"a": "ü &", "b": 1}, auth=("me", "pä:ss"))
            assert isinstance(got, Answer)
            told = got.fields()
            assert (told["body"], told["headers"]["content-type"]) == (
                "a=%C3%BC+%26&b=1",
                "application/x-www-form-urlencoded",
            )
            assert told["headers"]["authorization"] == "Basic " + base64.b64encode("me:pä:ss".encode()).decode()
            got = http.call(
                "POST", vendor.url, deadline=soon(), body=b"", headers={"Content-Type": "x/y", "accept": "z"}
            )
            assert isinstance(got, Answer)
            told = got.fields()["headers"]
            assert (told["content-length"], told["content-type"], told["accept"]) == ("0", "x/y", "z")


def test_what_is_no_request_does_not_leave(http: Http) -> None:
    """A URL that is none, and a header that would become two, are not sent."""
    with Echo() as vendor:
        for url in ("", "vendor", "http://", "http://*.example/", "http://[/", vendor.url.replace("127", "\r\n127")):
            assert isinstance(http.call("POST", url, deadline=soon(), body=b"x"), NotSent), url
        for value in ("a\r\nX-Evil: 1", "a\nb"):
            assert isinstance(
                http.call("POST", vendor.url, deadline=soon(), headers={"X-A": value}, body=b"x"), NotSent
            )
        assert not vendor.requests
        assert isinstance(http.call("POST", vendor.url, deadline=soon(), body=b"x"), Answer)


def test_a_request_that_is_not_taken_up_is_cut(http: Http) -> None:
    """A server that accepts and never reads cannot hold a large request beyond the deadline; part of it left: doubt."""
    body = b"x" * 30_000_000
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        began = time.monotonic()
        assert isinstance(http.call("POST", url, deadline=soon(1), body=body), Ambiguous)
        assert time.monotonic() - began < 5


def test_a_request_that_is_taken_up_slowly_is_cut(http: Http) -> None:
    """A server that reads a little now and then, so that no single write is late, is left at the deadline as well."""
    stopping, body = threading.Event(), b"x" * 40_000_000

    def read(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            while not stopping.wait(0.02) and connection.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        threading.Thread(target=read, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        began = time.monotonic()
        assert isinstance(http.call("POST", url, deadline=soon(1), body=body), Ambiguous)
        assert time.monotonic() - began < 5
        stopping.set()


def test_no_stranger_password_is_used(http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header that a provider set is what leaves, though ~/.netrc has a password for the host."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Echo() as vendor:
        answer = http.call("POST", vendor.url, deadline=soon(), headers={"Authorization": "Bearer ours"})
        assert isinstance(answer, Answer) and answer.fields()["authorization"] == "Bearer ours"


@contextmanager
def proxy(reply: bytes) -> Iterator[str]:
    """A proxy that answers every CONNECT so, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("line", [b"X: 1", b"this is no header"])
def test_what_is_logged_of_a_call_shows_no_secret(http: Http, caplog: pytest.LogCaptureFixture, line: bytes) -> None:
    """Some vendors want their token in the path or the query; urllib3 logs each request, and warns of a line that is no header."""
    caplog.set_level(logging.DEBUG)
    with proxy(b"HTTP/1.1 200 OK\r\nA: 1\r\n%s\r\nContent-Length: 2\r\n\r\n{}" % line) as url:
        for target in ("/bot1:CANARY/send'x?token=CANARY", "?token=CANARY"):
            assert isinstance(http.call("GET", url + target, deadline=soon()), Answer)
    assert "CANARY" not in caplog.text
    said = [record.getMessage() for record in caplog.records if record.name.startswith("urllib3.")]
    assert any(f'{url} "GET /… HTTP/1.1" 200' in one for one in said)
    assert any("Failed to parse headers" in one for one in said) is (line != b"X: 1")


@pytest.mark.parametrize("reply", [b"HTTP/1.1 403 no\r\n\r\n", b"HTTP/1.1 502 no\r\n\r\n", b"", b"nonsense\r\n\r\n"])
def test_a_proxy_that_refuses_the_way_is_not_sent(http: Http, monkeypatch: pytest.MonkeyPatch, reply: bytes) -> None:
    """CONNECT is not the request: where a proxy of ours opens no tunnel, the vendor saw nothing."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with proxy(reply) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        outcome = http.call("POST", "https://vendor.example/", deadline=soon(), body=b"x")
    assert isinstance(outcome, NotSent), outcome


@pytest.mark.parametrize(("name", "days"), [("localhost", 1), ("evil.example", 1), ("localhost", -1)])
def test_certificates_are_checked_before_anything_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, days: int
) -> None:
    """An authority that the operator trusts is used; another name or an expired certificate is not sent to."""
    ca_file, context = authority(tmp_path, name=name, days=days)
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as raw:
            try:
                with context.wrap_socket(raw, server_side=True) as connection:
                    heard.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            except OSError:
                pass

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}/"
        outcome: Any = Http().call("POST", url, deadline=soon(), body=b"x")
        thread.join(5)
    if (name, days) == ("localhost", 1):
        assert outcome.good and heard
    else:
        assert outcome == NotSent(code="not_connected", detail="SSLError") and not heard


def test_dates_are_compared_in_utc() -> None:
    """A vendor's clock in another zone is the same instant."""
    until = {"retry-after": "Mon, 02 Mar 2026 14:00:10 +0200"}
    assert retry_after(until, now=datetime(2026, 3, 2, 12, tzinfo=UTC)) == timedelta(seconds=10)


# ---------------------------------------------------------------- what a provider may hand in


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a1", "a1"), (1000, "1000"), (0, "0"), ("a\0b", "ab"), ("", None), (None, None), (True, None), ([1], None), (1.5, None)],
)  # fmt: skip
def test_a_vendors_id_is_kept_as_text(given: Any, kept: str | None) -> None:
    """A vendor that counts and one that names are the same to the ledger; an id that is none never unsays a yes."""
    assert Accepted(provider_message_id=given).provider_message_id == kept


def told(**changes: Any) -> ProviderEvent:
    return ProviderEvent(**{"name": EventName.DELIVERED, "at": NOW, "dedupe": "d", **changes})


def test_an_events_ids_are_kept_as_text() -> None:
    """Numbers and texts alike, so that it finds what `Accepted` said."""
    event = told(dedupe=7, message_key=8, provider_message_id=1000, address=358401234567)
    kept = (event.dedupe, event.message_key, event.provider_message_id, event.address)
    assert kept == ("7", "8", "1000", "358401234567")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("dedupe", None, "must be a text, and is NoneType"),
        ("dedupe", "", "must be a text, and is empty"),
        ("dedupe", ["secret"], "must be a text, and is list"),
        ("message_key", {"a": 1}, "must be a text, and is dict"),
        ("provider_message_id", True, "must be a text, and is bool"),
        ("address", 1.5, "must be a text, and is float"),
        ("at", datetime(2026, 3, 2), "must be a time with its zone (UTC), and is a time without one"),  # noqa: DTZ001
        ("at", "2026-03-02", "must be datetime, and is str"),
        ("name", "delivered", "must be EventName, and is str"),
        ("suppress", "bounced", "must be SuppressionReason or None, and is str"),
        ("text", None, "must be str, and is NoneType"),
    ],
)
def test_an_event_that_cannot_be_kept_names_its_field(field: str, value: Any, words: str) -> None:
    """What it is, never what stands in it."""
    with pytest.raises(ProviderError) as refused:
        told(**{field: value})
    assert f"an event's `{field}` {words}" in str(refused.value)
    assert "secret" not in str(refused.value)

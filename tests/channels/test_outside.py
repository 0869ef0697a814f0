"""Requests to an address that came with the data: only the public internet is called, whatever the address looks like."""

from __future__ import annotations

import socket
import tracemalloc
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.outside import is_public
from engine.provider import Answer, Http
from engine.testing.vendors.server import HttpVendor, Received, Reply, Request
from engine.wire import Broken, Wire
from tests.channels.messages import soon


class Bytes(HttpVendor):
    """Answers with bytes that are no text."""

    body = bytes(range(256)) * 40
    headers: Mapping[str, str] = {}

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        return Reply(status=200, body=self.body, headers=self.headers), None


@pytest.fixture
def vendor() -> Iterator[Bytes]:
    with Bytes() as vendor:
        yield vendor


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1",
        "::", "::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "2001:0:4136:e378::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_what_is_not_public(address: str) -> None:
    """This machine, private networks, the neighbours of a link, documentation, multicast, and IPv4 within IPv6."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]
)
def test_what_is_public(address: str) -> None:
    """Everything else, IPv4 addresses behind a translator of IPv6 among it."""
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST.", "2130706433", "0x7f.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]"],
)  # fmt: skip
def test_nothing_inside_is_called(vendor: Bytes, host: str) -> None:
    """However this machine is written, no request arrives, and what comes back says why."""
    http, port = Http(), urlsplit(vendor.url).port
    ended = http.exchange("GET", f"http://{host}:{port}/x.png", deadline=soon(1), outside=True)
    assert isinstance(ended, Broken) and not ended.left and not vendor.requests
    if host in ("127.0.0.1", "localhost", "2130706433"):
        assert ended.kind == "NotPublic"


def test_a_name_is_looked_up_once(vendor: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at, and this machine a moment later, leads nobody here."""
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def changing(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "two-faced.example":
            return resolve(host, *rest, **more)
        asked.append(host)
        return resolve("192.88.99.77" if len(asked) == 1 else "127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    url = f"http://two-faced.example:{urlsplit(vendor.url).port}/x.png"
    Http().exchange("GET", url, deadline=soon(0.5), outside=True)
    assert (len(asked), vendor.requests) == (1, 0)
    assert Http().exchange("GET", url, deadline=soon(0.5), outside=True) == Broken(left=False, kind="NotPublic")
    assert isinstance(Http().exchange("GET", url, deadline=soon()), Answer)  # a vendor of config.yaml may be anywhere


@pytest.mark.parametrize("addresses", [["192.88.99.77", "127.0.0.1"], ["127.0.0.1", "192.88.99.77"]])
def test_every_address_of_a_name_is_looked_at(
    vendor: Bytes, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    """A name that is public by one of its addresses and inside by another is not called, whichever comes first."""
    resolve = socket.getaddrinfo

    def both(host: Any, *rest: Any, **more: Any) -> Any:
        names = addresses if host == "both.example" else [host]
        return [each for name in names for each in resolve(name, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    url = f"http://both.example:{urlsplit(vendor.url).port}/x.png"
    assert Http().exchange("GET", url, deadline=soon(1), outside=True) == Broken(left=False, kind="NotPublic")
    assert not vendor.requests


def test_a_proxy_is_given_no_address_inside(vendor: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is the proxy's to look up; what is written out as an address inside never gets there."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", vendor.url)
    monkeypatch.setenv("http_proxy", vendor.url)
    for host in ("10.1.2.3", "[fd00::1]", "169.254.169.254", "127.1", "10.1.2.3.", "2130706433", "0xa9.0xfe.0251.254"):
        ended = Http().exchange("GET", f"http://{host}/x.png", deadline=soon(), outside=True)
        assert ended == Broken(left=False, kind="NotPublic") and not vendor.requests
    answer = Http().exchange("GET", "http://shop.example/x.png", deadline=soon(), outside=True)
    assert isinstance(answer, Answer) and (answer.body, vendor.requests) == (vendor.body, 1)


def test_what_unpacks_to_more_than_is_wanted_is_not_unpacked() -> None:
    """A megabyte that would be a gigabyte costs as much memory as was asked for, and a little more."""
    press = zlib.compressobj(9, wbits=31)
    packed = b"".join(press.compress(bytes(10_000_000)) for _ in range(30)) + press.flush()
    with Bytes() as vendor:
        vendor.body, vendor.headers = packed, {"Content-Encoding": "gzip"}
        tracemalloc.start()
        try:
            answer = Http(inside=["127.0.0.1"]).exchange("GET", vendor.url, deadline=soon(), outside=True, most=1000)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert isinstance(answer, Answer) and answer.body == bytes(1000)
    assert most < 20_000_000


def test_a_host_of_ones_own_may_be_allowed(vendor: Bytes) -> None:
    """By its name, and no other; its bytes come as they are, at most so many of them."""
    http = Http(inside=["LocalHost"])
    url = vendor.url.replace("127.0.0.1", "localhost")
    answer = http.exchange("GET", url, deadline=soon(), outside=True)
    assert isinstance(answer, Answer) and answer.body == vendor.body and answer.complete
    cut = http.exchange("GET", url, deadline=soon(), outside=True, most=1000)
    assert isinstance(cut, Answer) and cut.body == vendor.body[:1000]
    assert isinstance(http.exchange("GET", vendor.url, deadline=soon(), outside=True), Broken)


def test_of_ever_other_hosts_few_are_remembered(vendor: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images lie at any number of hosts: how each is reached is asked of the environment once, and known of the last ones alone."""
    monkeypatch.setattr("engine.wire.HOSTS", 3)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", vendor.url)
    monkeypatch.setenv("http_proxy", vendor.url)
    wire = Wire()
    for number in range(9):
        for path in ("a.png", "b.png"):
            assert isinstance(wire.exchange("GET", f"http://host{number}.example/{path}", deadline=soon()), Answer)
    known = wire._proxies.cache_info()
    assert (known.currsize, known.misses, known.hits, vendor.requests) == (3, 9, 9, 18)
    wire.close()

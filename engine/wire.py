"""One HTTP exchange under one deadline, and how far it got: what providers stand on, and seldom need to read."""

from __future__ import annotations

import base64
import http.client
import io
import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from engine.outside import public_addresses, refuse_literal

MAX_BYTES = 1_000_000
HOSTS = 200
"""Of so many hosts it is remembered how they are reached: images lie at addresses that came with the data, at ever other ones."""
_WRITE = 16384
_HEADERS = {"User-Agent": "regulars", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


def time_left(deadline: float) -> float:
    """Seconds until a `time.monotonic()` instant. Raises TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


class DeadlineReader(io.RawIOBase):
    """A socket's reading end with one deadline over all reads: a server that drips a byte a second cannot outlive it."""

    def __init__(self, sock: socket.socket, deadline: Callable[[], float]) -> None:
        self._sock, self._deadline = sock, deadline
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(time_left(self._deadline()))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the vendor answered. Header names in lower case. `complete` is False where the body was cut short: the status stands."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def fields(self) -> Mapping[str, Any]:
        """The body as a JSON object; empty where it is anything else."""
        try:
            value = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """No answer. `left` tells whether a byte of the request may have left; `kind` is the error's name, without its text."""

    left: bool
    kind: str


class _Call(threading.local):
    """This thread's exchange: until when it may last, and how far the request got."""

    deadline = 0.0
    reached = ""  # "", then "connecting", "connected", "written"


_call = _Call()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(DeadlineReader(sock, lambda: _call.deadline))


if TYPE_CHECKING:
    _Connection = urllib3.connection.HTTPConnection
else:
    _Connection = object


class _Watched(_Connection):
    """A connection that knows whether a byte of the request has left, and lets none leave after the deadline."""

    response_class = _Response
    _head = b""  # the request's head, kept until its body comes: both leave in one write
    _at_head = False

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        self._at_head = True
        super().endheaders(*args, **kwargs)

    def getresponse(self) -> Any:
        if self._head:
            self.send(b"")
        return super().getresponse()

    def close(self) -> None:
        self._head, self._at_head = b"", False
        super().close()

    def connect(self) -> None:
        _call.reached = "connecting"  # a proxy's CONNECT is written in here too, and is not yet the request
        super().connect()
        _call.reached = "connected"

    def send(self, data: Any) -> None:
        if self._at_head:
            self._head, self._at_head = data, False
            return
        if self.sock is None:
            self.connect()
        head, self._head = self._head, b""
        data = bytes(data)
        for start in range(0, len(data) or 1, _WRITE):
            self.sock.settimeout(time_left(_call.deadline))
            if _call.reached != "connecting":
                _call.reached = "written"
            super().send(head + data[start : start + _WRITE])
            head = b""


class _HttpConnection(_Watched, urllib3.connection.HTTPConnection):
    pass


class _HttpsConnection(_Watched, urllib3.connection.HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _Outside(_Connection):
    """A connection to a public address alone: the one that was looked at is the one that is called."""

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        failure: Exception = OSError()
        try:
            for address in public_addresses(name, self.port):
                self._dns_host, self.timeout = address, time_left(_call.deadline)
                try:
                    return super()._new_conn()
                except (OSError, urllib3.exceptions.HTTPError) as error:
                    failure = error
            raise failure
        finally:
            self._dns_host = name


class _OutsideHttpConnection(_Outside, _HttpConnection):
    pass


class _OutsideHttpsConnection(_Outside, _HttpsConnection):
    pass


class _OutsideHttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _OutsideHttpConnection


class _OutsideHttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _OutsideHttpsConnection


_OUTSIDE_POOLS = {"http": _OutsideHttpPool, "https": _OutsideHttpsPool}


class _Adapter(HTTPAdapter):
    """Makes every connection a watched one, those through a proxy too: of these it is the proxy that looks names up."""

    _pools: Mapping[str, Any] = _POOLS

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _OutsideAdapter(_Adapter):
    _pools = _OUTSIDE_POOLS


def _left(error: Exception) -> bool:
    """Whether a byte of the request may have left. Where no connection of ours was used (a stand-in), the error's kind tells."""
    if _call.reached:
        return _call.reached == "written"
    return not isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError | ValueError)


class _WithoutTarget(logging.Filter):
    """What urllib3 logs, without any path and query: some vendors want a secret or an address there."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _TARGET.sub(r"\1/…", record.getMessage()), ()
        return True


_TARGET = re.compile(r"(?<=://)([^/?#\s]*)[/?#]\S*|(?<![\w:/])/\S*")
"""Of a URL what stands after its host, and a path that stands alone."""

_WITHOUT_TARGET = _WithoutTarget()


def _quiet_urllib3() -> None:
    """A filter is not inherited, so each of its loggers gets it; the same one is added once."""
    for name in tuple(logging.root.manager.loggerDict):
        if name.startswith("urllib3."):
            logging.getLogger(name).addFilter(_WITHOUT_TARGET)


class Wire:
    """A pooled HTTP client for all threads; redirects are never followed, cookies never kept.

    One deadline holds over the whole exchange; only the resolver's own time-out may exceed it, before any byte has left.
    Of the environment, proxies and REQUESTS_CA_BUNDLE are heeded, read once; ~/.netrc is not. inside: hosts of our own
    network that count as being outside, too.
    """

    def __init__(self, *, inside: Collection[str] = ()) -> None:
        _quiet_urllib3()
        self._adapter = _Adapter(pool_connections=8, pool_maxsize=200)
        self._outside = _OutsideAdapter(pool_connections=8, pool_maxsize=8)
        self._inside = frozenset(host.lower() for host in inside)
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._proxies = lru_cache(maxsize=HOSTS)(requests.utils.get_environ_proxies)

    def close(self) -> None:
        """Close all idle connections. Later exchanges open new ones."""
        self._adapter.close()
        self._outside.close()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        deadline: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        auth: tuple[str, str] | None = None,
        most: int = MAX_BYTES,
        outside: bool = False,
    ) -> Answer | Broken:
        """Send one request and read its answer to the end, at most so many bytes of it. Never raises for what a network does.

        outside: for an address that came with the data. Only the public internet is called; else it is Broken by `NotPublic`.
        """
        _call.deadline, _call.reached = deadline, ""
        left = deadline - time.monotonic()
        if left <= 0:
            return Broken(left=False, kind="TimeoutError")
        try:
            adapter = self._adapter_outside(url) if outside else self._adapter
            response = adapter.send(
                _prepared(method, url, headers or {}, body, query, auth),
                stream=True,
                timeout=left,
                verify=self._verify,
                proxies=self._proxies("/".join(url.split("/", 3)[:3])),
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Broken(left=_left(error), kind=type(error).__name__)
        return _read(response, most)

    def _adapter_outside(self, url: str) -> _Adapter:
        """Raises NotPublic. What is written out as an address is looked at here: a proxy would call whatever it is given."""
        host = urlsplit(_url(url)).hostname or ""
        if host in self._inside:
            return self._adapter
        refuse_literal(host)
        return self._outside


def _prepared(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | Mapping[str, Any] | None,
    query: Mapping[str, Any] | None,
    auth: tuple[str, str] | None,
) -> requests.PreparedRequest:
    """A request as `requests` hands it to its adapter, made by hand: its session would look for cookies, hooks and ~/.netrc
    at each call, and take longer over it than over all else. Illegal headers are refused below, by http.client.
    """
    request = requests.PreparedRequest()
    request.method, request.url = method, _url(url)
    if query:
        request.prepare_url(request.url, query)
    request.headers = CaseInsensitiveDict({**_HEADERS, **headers})
    if isinstance(body, Mapping):
        request.body = urlencode(list(body.items()))
        request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    else:
        request.body = body
    if request.body is not None:
        request.headers["Content-Length"] = str(len(request.body))
    if auth is not None:
        request.headers["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
    return request


@lru_cache(maxsize=200)
def _url(url: str) -> str:
    """The URL as it is called: its host in ASCII, its path quoted. Raises requests.RequestException where it is none."""
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    return str(request.url)


def _read(response: requests.Response, most: int) -> Answer:
    try:
        body, complete = response.raw.read(most, decode_content=True), True
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        body, complete = b"", False
    if not complete or len(body) >= most:
        response.close()
    return Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=body,
        complete=complete,
    )

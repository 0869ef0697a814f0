"""An HTTP vendor on a real socket: takes messages, records them, and fails in every way a network can, on demand.

Light on purpose (one thread a connection, keep-alive, no logging): a demo sends it thousands of messages.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from engine.provider import Webhook

TLS_HANDSHAKE = b"\x16"  # how a connection begins that wants TLS (RFC 8446 §5.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request as it came. Header names in lower case. `asked`: the query with every value of a name that came repeatedly."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    asked: Sequence[tuple[str, str]] = ()
    raw_query: str = ""

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One message that the vendor truly took, read from what came: an HTTP `request`, or an email's `raw` bytes.

    template, variables: the approved text that was asked for, and what fills it. image: the address of the picture; where
    the vendor was handed its bytes, `image_data`. image_alt: what it shows, in words. at: when, by the vendor's clock, for
    vendors that can be asked.
    """

    key: str | None
    to: str | None
    sender: str = ""
    subject: str = ""
    text: str = ""
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    provider_message_id: str = ""
    callback_url: str | None = None
    request: Request | None = None
    raw: bytes = b""
    template: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    image_data: bytes = b""
    image_alt: str = ""
    at: datetime = field(default=datetime(1970, 1, 1, tzinfo=UTC), compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer. As a fault it stands in for the vendor's own; `taken` tells whether the vendor took the message all the same."""

    status: int
    body: bytes | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    taken: bool = False

    def wire(self) -> bytes:
        if isinstance(self.body, bytes):
            kind, data = "text/plain", self.body
        else:
            kind, data = "application/json", json.dumps(self.body).encode()
        given = {name.lower(): value for name, value in self.headers.items()}
        fields = {"content-type": kind, "content-length": str(len(data)), **given}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} X\r\n{head}\r\n".encode("latin-1") + data


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """Reads the request and never answers; the caller hangs up."""

    taken: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """Reads the request, sends the first `after` bytes of its answer (or of another one), and tears the connection down (RST)."""

    taken: bool = False
    after: int = 0
    answer: Reply | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Sends the first `after` bytes of its answer (or of another one), then closes."""

    after: int
    taken: bool = True
    answer: Reply | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drip:
    """Sends `at_once` bytes of its answer, then one byte every `seconds`: no single read ever times out."""

    seconds: float = 0.05
    at_once: int = 0
    taken: bool = True
    answer: Reply | None = None


Fault = Reply | Silence | Reset | Cut | Drip


class HttpVendor(ABC):
    """A vendor's API. Start it with `with`; `url` is then where it listens.

    `accepted` is the append-only record of what was truly taken. `misbehave` may return a fault for a request;
    `fail_next` scripts faults for the next requests, in order; those that only prepare (`prepares`) are counted apart, and
    hit by `fail_preparing`. `clock` is the vendor's own. `lag`: how long a message that it took is missing in what it tells
    when it is asked.
    """

    lag = timedelta()

    def __init__(self, *, misbehave: Callable[[Request], Fault | None] | None = None) -> None:
        self.accepted: list[Received] = []
        self.requests = self.preparations = 0
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._misbehave = misbehave
        self._script: deque[Fault | None] = deque()
        self._preparing: deque[Fault | None] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._broken: Exception | None = None
        self._connections: set[socket.socket] = set()

    def hold(self) -> None:
        """Raises AssertionError, once, where the stand-in itself broke down over a request; at the end of its `with` at the latest."""
        broken, self._broken = self._broken, None
        if broken is not None:
            raise AssertionError(f"your stand-in raised {broken!r}") from broken

    @abstractmethod
    def take(self, request: Request) -> tuple[Reply, Received | Sequence[Received] | None]:
        """The vendor's true answer to a request, and what it took with it: a message, several, none. Called under a lock."""

    def prepares(self, request: Request) -> bool:
        """Whether a request only prepares for what it is about, as logging in does, or uploading an image."""
        return False

    def told(self) -> list[Received]:
        """What the vendor tells when it is asked: what it took, the newest first, but for what is younger than `lag`."""
        return [received for received in reversed(self.accepted) if received.at <= self.clock() - self.lag]

    def fail_next(self, *faults: Fault) -> None:
        """The next requests fail so, one each."""
        self._script.extend(faults)

    def fail_preparing(self, *faults: Fault | None) -> None:
        """The next requests that only prepare fail so, one each; None lets one pass."""
        self._preparing.extend(faults)

    def deliver(self, webhook: Webhook, *, to: str | None = None) -> int:
        """Post a webhook, to its own URL or another one (behind a proxy), and return the status it was answered with."""
        parts = urlsplit(to or webhook.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=30)
        try:
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            connection.request(webhook.method, target, body=webhook.body, headers=dict(webhook.headers))
            return connection.getresponse().status
        finally:
            connection.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, name=type(self).__name__, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if kind is None:
            self.hold()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as stream:
                while (request := _read(stream)) is not None and self._answer(connection, request):
                    pass
        except (OSError, ValueError):
            pass  # the caller hung up, or sent no HTTP
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        """Answer one request; False where the connection is of no more use."""
        with self._lock:
            prepares = self.prepares(request)
            self.requests, self.preparations = self.requests + (not prepares), self.preparations + prepares
            script = self._preparing if prepares else self._script
            scripted = script.popleft() if script else None
            fault = scripted or (self._misbehave(request) if self._misbehave else None)
            reply = None
            if fault is None or fault.taken:
                try:
                    reply, taken = self.take(request)
                except Exception as error:
                    self._broken = self._broken or error
                    return False
                for received in [taken] if isinstance(taken, Received) else taken or []:
                    self.accepted.append(received)  # one by one: a test may keep a record of its own in its place
        match fault:
            case None:
                connection.sendall(reply.wire() if reply else b"")
                return True
            case Reply():
                connection.sendall(fault.wire())
                return True
            case Silence():
                _wait_for_the_end(connection, self._stopping)
            case Reset(after=after):
                connection.sendall(_wire(fault.answer or reply)[:after])
                self._stopping.wait(0.05 if after else 0)  # what was sent should arrive before the RST does
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case Cut(after=after):
                connection.sendall(_wire(fault.answer or reply)[:after])
            case Drip():
                _drip(connection, _wire(fault.answer or reply), fault, self._stopping)
        return False


def _wire(reply: Reply | None) -> bytes:
    return (reply or Reply(status=200, body=b"x" * 200)).wire()


def _wait_for_the_end(connection: socket.socket, stopping: threading.Event) -> None:
    """Until the caller hangs up, or the vendor stops."""
    connection.settimeout(0.1)
    while not stopping.is_set():
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue


def _drip(connection: socket.socket, wire: bytes, fault: Drip, stopping: threading.Event) -> None:
    connection.sendall(wire[: fault.at_once])
    for byte in wire[fault.at_once :]:
        if stopping.wait(fault.seconds):
            return
        connection.sendall(bytes([byte]))


def _read(stream: Any) -> Request | None:
    """The next request of a connection; None when there is none. Raises ValueError for what is no HTTP."""
    if stream.peek(1)[:1] == TLS_HANDSHAKE:
        return None  # it speaks no TLS, and hangs up at once, as servers do
    line = stream.readline(65536)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while (line := stream.readline(65536)).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    asked = tuple(parse_qsl(parts.query))
    return Request(
        method=method,
        path=parts.path,
        query=dict(asked),
        headers=headers,
        body=body,
        asked=asked,
        raw_query=parts.query,
    )


@contextlib.contextmanager
def full_port() -> Iterator[int]:
    """A port of this machine where nobody answers: whoever connects to it waits for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as waiting:
        port: int = server.getsockname()[1]
        for _ in range(4):  # as many as the system keeps beyond the backlog
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        yield port


def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port

"""The HTTP server: in the foreground for `regulars serve`, in a thread beside the daemon and the demo."""

from __future__ import annotations

import signal
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from engine.errors import RegularsError

GRACE_SECONDS = 10
START_SECONDS = 30


def serve(app: FastAPI, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, let running requests end, and return. For the main thread, which alone gets signals.

    Raises RegularsError where the address is not free.
    """
    door = Background(app, host, port)
    former = {each: signal.signal(each, lambda *_: door.close()) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with door:
            door.wait()
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


class Background:
    """The same in a thread: open for requests inside the `with`, closed, with running requests ended, after it.

    Port 0 takes a free one. Raises RegularsError, on entering, where the address is not free.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._server = _Announcing(_config(app))
        self._thread = threading.Thread(target=self._run, name="regulars-web", daemon=True)
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where it answers on this machine; the port is known once it is started."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Open the door; returns when requests are answered."""
        self._socket = _listen(self.host, self.port)
        self.port = self._socket.getsockname()[1]
        self._thread.start()
        if not self._server.up.wait(START_SECONDS) or not self._server.started:
            self.stop()
            raise RegularsError("the HTTP server did not start", where=self.url)

    def close(self) -> None:
        """Take no more requests; the running ones end by themselves. Returns at once."""
        self._server.should_exit = True

    def wait(self) -> None:
        """Return when the server has ended, for whatever reason."""
        self._thread.join()

    def stop(self) -> None:
        """Close, and return when the running requests have ended. Twice does no harm."""
        self.close()
        if self._thread.is_alive():
            self._thread.join(GRACE_SECONDS + 5)
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket] if self._socket else None)
        finally:
            self._server.up.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class _Announcing(uvicorn.Server):
    """uvicorn, telling when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def _config(app: FastAPI) -> uvicorn.Config:
    """No access log: its lines would hold customers' links. No proxy headers: nothing here trusts who calls or by which name."""
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    """An open socket, so that an address in use is told before anything else starts."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(
            family, socket.SOCK_STREAM, socket.IPPROTO_TCP
        )  # named, so that asyncio sets TCP_NODELAY
    except OSError as error:
        raise RegularsError(f"{host} is not an address of this machine", where=f"{host}:{port}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise RegularsError(
            f"cannot listen: {error.strerror}", where=f"{host}:{port}", remedy="Take another --host or --port."
        ) from error
    return listening

"""The server opens when it says so, closes when it is told to, and lets nobody wait for an address in use."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from engine.errors import RegularsError
from engine.rules.workspace import Workspace
from engine.store import Database
from engine.web.app import create_app
from engine.web.server import Background, serve
from tests.web.conftest import KEY, Shop, open_shop


def test_it_answers_inside_the_with_and_not_after_it(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """On a port of its own choice, without naming itself, and without a line about who came for what."""
    caplog.set_level(logging.DEBUG)
    with Background(create_app(shop.door), "127.0.0.1", 0) as server:
        answer = requests.get(f"{server.url}/healthz", timeout=10)
        requests.get(f"{server.url}/u/token-of-ana", timeout=10)
        assert (answer.status_code, "Server" in answer.headers) == (200, False)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/healthz", timeout=10)
    assert "regulars-web" not in [thread.name for thread in threading.enumerate()]
    served = [record for record in caplog.records if record.name.startswith("uvicorn")]
    assert "token-of-ana" not in " ".join(record.getMessage() for record in served)


def test_closing_lets_a_running_request_end(workspace: Workspace, database: Database) -> None:
    """What was begun is answered, not cut."""
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go_on.wait(30)

    shop = open_shop(workspace, database, wake=slow)
    server = Background(create_app(shop.door), "127.0.0.1", 0)
    server.start()
    with ThreadPoolExecutor(2) as pool:
        url, headers = f"{server.url}/v1/trigger/receipt", {"X-Api-Key": KEY}
        answer = pool.submit(requests.post, url, json=shop.order(), headers=headers, timeout=30)
        assert begun.wait(30)
        stopped = pool.submit(server.stop)
        go_on.set()
        stopped.result()
        assert answer.result().status_code == 202
    server.stop()


def test_a_signal_ends_it_cleanly(shop: Shop) -> None:
    """SIGTERM, as a service manager sends it: `serve` returns to its caller, who can put things away; the signal's former
    handler is in force again."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    former = signal.getsignal(signal.SIGTERM)
    answered = []

    def visit() -> None:
        session = requests.Session()
        session.mount("http://", HTTPAdapter(max_retries=Retry(connect=20, backoff_factor=0.05)))
        try:
            answered.append(session.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    visitor.start()
    serve(create_app(shop.door), "127.0.0.1", port)
    visitor.join()
    assert answered == [200]
    assert signal.getsignal(signal.SIGTERM) is former


def test_an_address_in_use_is_told_as_such(shop: Shop) -> None:
    """And an address that is none, too; nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RegularsError, match=f"127.0.0.1:{port}: cannot listen"):
            Background(create_app(shop.door), "127.0.0.1", port).start()
    with pytest.raises(RegularsError, match="not an address of this machine"):
        Background(create_app(shop.door), "no such host.invalid", 0).start()

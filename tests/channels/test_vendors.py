"""The local vendors: what they record is the truth, and their webhooks are the vendors' own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from channels.sendgrid import SendGrid, SendGridSettings
from channels.twilio import Twilio, TwilioSettings
from engine.model import EventName
from engine.provider import Accepted, Ambiguous, Http, Outcome, Webhook
from engine.testing.vendors.sendgrid import SendGridVendor
from engine.testing.vendors.server import HttpVendor, Received, Reply, Request, Silence
from engine.testing.vendors.twilio import ACCOUNT, TwilioVendor
from tests.channels.messages import EMAIL, NOW, SMS, soon


class Door(HttpVendor):
    """Stands where webhooks arrive, and keeps them as our own door hands them to a provider."""

    def __init__(self) -> None:
        super().__init__()
        self.webhooks: list[Webhook] = []

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        query = "?" + "&".join(f"{name}={value}" for name, value in request.query.items()) if request.query else ""
        url = f"https://shop.example{request.path}{query}"
        self.webhooks.append(Webhook(method=request.method, url=url, headers=request.headers, body=request.body))
        return Reply(status=204), None


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_KEY", "SG.for-tests")
    monkeypatch.setenv("T_TOKEN", "token-for-tests")


@pytest.fixture
def door() -> Iterator[Door]:
    with Door() as door:
        yield door


def sendgrid(vendor: SendGridVendor) -> SendGrid:
    given = {"api_key": "${env:T_KEY}", "base_url": vendor.url, "webhook_key": vendor.public_key}
    return SendGrid(SendGridSettings.model_validate(given), http=Http())


def twilio(vendor: TwilioVendor) -> Twilio:
    given = {"account_sid": ACCOUNT, "auth_token": "${env:T_TOKEN}", "base_url": vendor.url}
    return Twilio(TwilioSettings.model_validate(given), http=Http())


def test_many_senders_one_record() -> None:
    """Four threads and a fault in every fifth request: each message that was taken is recorded once, and no other."""

    def misbehave(request: Request) -> Any:
        (key,) = SendGridVendor.keys_in(request)
        number = int(key.partition("-")[2])
        faults = {1: Reply(status=503), 2: Reply(status=503, taken=True), 3: Reply(status=429)}
        return faults.get(number % 15)

    outcomes: dict[str, Outcome] = {}
    with SendGridVendor(misbehave=misbehave) as vendor:
        provider = sendgrid(vendor)

        def work(thread: int) -> None:
            for number in range(60):
                key = f"0a1b2c3d-{thread * 1000 + number}"
                outcomes[key] = provider.send(replace(EMAIL, key=key), deadline=soon(20))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = [received.key for received in vendor.accepted]
    accepted = {key for key, outcome in outcomes.items() if isinstance(outcome, Accepted)}
    doubted = {key for key, outcome in outcomes.items() if isinstance(outcome, Ambiguous)}
    assert len(taken) == len(set(taken)) and len(outcomes) == 240
    assert accepted <= set(taken) <= accepted | doubted
    assert {key for key in doubted if int(key.partition("-")[2]) % 15 == 2} == set(taken) - accepted
    ids = [outcome.provider_message_id for outcome in outcomes.values() if isinstance(outcome, Accepted)]
    assert len(ids) == len(set(ids))


def test_sendgrids_events_arrive_signed(door: Door) -> None:
    """A batch posted over HTTP verifies at the other end, each event about the message that was sent."""
    with SendGridVendor() as vendor:
        provider = sendgrid(vendor)
        provider.send(EMAIL, deadline=soon())
        (taken,) = vendor.accepted
        batch = [vendor.event(taken, word, at=NOW) for word in ("processed", "delivered", "open", "click")]
        signed = vendor.webhook("https://shop.example/v1/webhooks/sendgrid", batch, now=NOW)
        assert vendor.deliver(signed, to=f"{door.url}/v1/webhooks/sendgrid") == 204
        found = provider.parse_events(door.webhooks[0], now=NOW)
    assert [event.name for event in found] == [
        EventName.ACCEPTED,
        EventName.DELIVERED,
        EventName.OPENED,
        EventName.CLICKED,
    ]
    assert {(event.message_key, event.address) for event in found} == {(EMAIL.key, EMAIL.to)}


def test_twilios_callbacks_arrive_signed(door: Door) -> None:
    """Callbacks and inbound texts posted over HTTP verify under the public URL that Twilio was given."""
    with TwilioVendor() as vendor:
        provider = twilio(vendor)
        provider.send(SMS, deadline=soon())
        about = vendor.callback(vendor.accepted[0], "delivered")
        local = about.url.replace("https://shop.example", door.url)
        assert vendor.deliver(about, to=local) == 204
        inbound = vendor.inbound("https://shop.example/v1/webhooks/texts", sender=SMS.to or "", text="stop & go = ü")
        assert vendor.deliver(inbound, to=f"{door.url}/v1/webhooks/texts") == 204
        (delivered,), (reply,) = (provider.parse_events(webhook, now=NOW) for webhook in door.webhooks)
    assert (delivered.name, delivered.message_key) == (EventName.DELIVERED, SMS.key)
    assert (reply.name, reply.text) == (EventName.REPLIED, "stop & go = ü")


def test_a_stopped_vendor_lets_nobody_wait() -> None:
    """Leaving the block frees a caller who waits for a silent vendor."""
    vendor = TwilioVendor()
    with vendor:
        vendor.fail_next(Silence())
        outcomes: list[Outcome] = []
        waiting = threading.Thread(target=lambda: outcomes.append(twilio(vendor).send(SMS, deadline=soon(30))))
        waiting.start()
        while not vendor.requests:
            threading.Event().wait(0.01)
    waiting.join(5)
    assert not waiting.is_alive() and isinstance(outcomes[0], Ambiguous)


@pytest.mark.parametrize("raw", [b"\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"])
def test_a_vendor_survives_what_is_no_http(raw: bytes) -> None:
    """A caller that speaks no HTTP is hung up on, and the next one is served."""
    with TwilioVendor() as vendor:
        with socket.create_connection(("127.0.0.1", int(vendor.url.rpartition(":")[2]))) as caller:
            caller.sendall(raw)
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(100) == b""
        assert requests.get(vendor.url, timeout=5).status_code == 401

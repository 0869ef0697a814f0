"""docs/adding-a-provider.md: the provider on the page passes the contract on the page."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

from engine.model import EventName
from engine.provider import Http, Webhook
from engine.testing.look_up_contract import LookUpContract
from engine.testing.vendors import HttpVendor, Received, Reply, Request

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-provider.md"


def example() -> ModuleType:
    """The page's Python, as one module."""
    module = ModuleType("pigeon")
    sys.modules["pigeon"] = module
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), module.__dict__)
    return module


PIGEON = example()
TESTS = [name for name in dir(PIGEON.TestPigeon) if name.startswith("test_")]
VENDORS: dict[str, Any] = {"Pigeon": PIGEON.PigeonVendor, "AskedPigeon": PIGEON.AskedVendor}
OF_LOOKING_UP = [name for name in vars(LookUpContract) if name.startswith("test_")]


@pytest.mark.parametrize(
    ("kind", "test"),
    [*(("Pigeon", test) for test in TESTS), *(("AskedPigeon", test) for test in OF_LOOKING_UP)],
)
def test_the_pages_example_passes(kind: str, test: str) -> None:
    """What a newcomer copies is sound."""
    contract: Any = getattr(PIGEON, f"Test{kind}")()
    contract.setup_method()
    try:
        with VENDORS[kind]() as contract.vendor:
            getattr(contract, test)()
    finally:
        contract.teardown_method()


def test_the_page_says_how_many_tests_there_are() -> None:
    """Some thirty."""
    assert 25 <= len(TESTS) <= 40


def test_the_pages_reply_is_one() -> None:
    """It can be kept, whatever the vendor calls its messages."""
    event = PIGEON.reply({"id": 7, "at": 1772452800, "from": "+358401234567", "text": "STOP"})
    assert (event.dedupe, event.address, event.text) == ("7", "+358401234567", "STOP")


class Door(HttpVendor):
    """What listens for webhooks, and keeps them."""

    def take(self, request: Request) -> tuple[Reply, Received]:
        return Reply(status=204), Received(key=None, to=None, request=request)


def test_the_pages_stand_in_reports_what_it_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One text is sent to it, then Enter is pressed: a report that the provider reads arrives at the door."""
    monkeypatch.setenv("PIGEON_KEY", "canary-key")
    answers = iter(["", "q"])

    def typed(_: str) -> str:
        if (answer := next(answers)) == "":
            url = capsys.readouterr().out.strip()
            told = {"reference": "0a1b2c3d-42", "to": "+358401234567", "text": "Thank you."}
            requests.post(f"{url}/texts", json=told, headers={"Authorization": "Bearer canary-key"}, timeout=5)
        return answer

    monkeypatch.setattr("builtins.input", typed)
    with Door() as door:
        PIGEON.play(f"{door.url}/v1/webhooks/texts")
        (heard,) = [one.request for one in door.accepted]
    assert "Thank you. 204" in capsys.readouterr().out
    pigeon = PIGEON.Pigeon(PIGEON.PigeonSettings(api_key="${env:PIGEON_KEY}"), http=Http())
    webhook = Webhook(method=heard.method, url="", headers=heard.headers, body=heard.body)
    (event,) = pigeon.parse_events(webhook, now=datetime.now(UTC))
    assert (event.name, event.message_key, event.provider_message_id) == (EventName.DELIVERED, "0a1b2c3d-42", "1000")

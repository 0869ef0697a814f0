"""Texts through two real protocols: what Twilio surely did not take Vonage carries, and what it may have taken nobody repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from engine.clock import SteppedClock
from engine.model import State
from engine.provider import Http
from engine.rules.workspace import load_workspace
from engine.sending.providers import open_provider
from engine.sending.sender import Sender
from engine.store import Database
from engine.testing.vendors.server import Fault, Reply, Request, Silence, closed_port
from engine.testing.vendors.twilio import ACCOUNT, TwilioVendor
from engine.testing.vendors.vonage import VonageVendor
from tests.conftest import NOW
from tests.sending.shop import CONFIG, NEWS, Shop

PEOPLE = 4
NUMBERS = {f"+3584012345{n:02}" for n in range(1, PEOPLE + 1)}
PROVIDERS = """
  twilio: {{use: twilio, account_sid: {account}, auth_token: "${{env:T_TWILIO}}", base_url: "{twilio}"}}
  vonage: {{use: vonage, api_key: key-for-tests, api_secret: "${{env:T_VONAGE}}", base_url: "{vonage}"}}
"""
ROUTE = """
  sms: {commercial: {from: "+15005550006", providers: [twilio, {provider: vonage, from: Records}]}}
"""


FAULTS: Mapping[str, Callable[[Request], Fault]] = {
    "refuses us": lambda _: Reply(status=401),
    "silent after it": lambda _: Silence(),
}


@pytest.mark.parametrize("how", ["not there", *FAULTS])
def test_what_twilio_does_not_take_vonage_carries(
    tmp_path: Path,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """Refused or not there: each text goes once, by the other. Silent after it was sent: it stays where it was, in doubt."""
    monkeypatch.setenv("T_TWILIO", "token-for-tests")
    monkeypatch.setenv("T_VONAGE", "secret-for-tests")
    closed = f"http://127.0.0.1:{closed_port()}"
    rows = [{"id": f"c{n}", "sms": f"+3584012345{n:02}", "first_name": "Ana", "consent.sms.offers": "yes"} for n in range(1, PEOPLE + 1)]  # fmt: skip
    with TwilioVendor(misbehave=FAULTS.get(how)) as twilio, VonageVendor() as vonage:
        shop = Shop(tmp_path, database, SteppedClock(NOW), rows=rows)
        providers = PROVIDERS.format(
            account=ACCOUNT, twilio=closed if how == "not there" else twilio.url, vonage=vonage.url
        )
        config = CONFIG.replace("channels:", f"{providers.strip(chr(10))}\nchannels:{ROUTE.rstrip()}")
        (tmp_path / "config.yaml").write_text(config, "utf-8")
        (tmp_path / "rules/news.yaml").write_text(NEWS.replace("channel: email", "channel: sms"), "utf-8")
        (tmp_path / "templates/news/sms.txt").write_text("News, {{ customer.first_name }}. Reply STOP to end.", "utf-8")
        shop.workspace = load_workspace(tmp_path)
        settings = shop.workspace.settings
        opened = {
            name: open_provider(name, settings.providers[name], Http(), tmp_path) for name in ("twilio", "vonage")
        }
        setup = replace(shop.setup(), providers=opened)
        sender = Sender(setup=lambda: setup, database=database, clock=shop.clock)
        shop.launch()
        for _ in range(12):
            sender.drain()
            shop.pass_time(seconds=10)
        sender.stop()
        if how == "silent after it":
            assert not vonage.accepted or len(vonage.accepted) + shop.states().count(State.IN_DOUBT) == PEOPLE
            assert State.IN_DOUBT in shop.states()
        else:
            assert shop.states() == [State.ACCEPTED] * PEOPLE
            assert sorted(taken.to for taken in vonage.accepted) == sorted(NUMBERS)
            assert {row.provider for row in shop.rows()} == {"vonage"}
        for provider in opened.values():
            provider.close()

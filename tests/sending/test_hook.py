"""The whole way to a webhook of one's own: whatever breaks on it, a receiver that takes an id once has each message once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from channels.webhook import Hook, WebhookSettings
from engine.clock import SteppedClock
from engine.model import State
from engine.provider import Http
from engine.store import Database
from engine.testing.vendors.server import Cut, Reply, Reset
from engine.testing.vendors.webhook import WebhookReceiver
from tests.conftest import NOW
from tests.sending.shop import Shop

SECRET = f"whsec_{'c2Vj' * 8}"


@pytest.mark.parametrize("remembers", [True, False])
def test_each_message_is_there_once(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, remembers: bool
) -> None:
    """Resets, broken answers and 5xx, before and after it was taken, and a wish to wait. With `idempotent: true` all arrive;
    without it none is doubled, and those of whom nobody knows end as `unknown`.
    """
    monkeypatch.setenv("T_SECRET", SECRET)
    shop = Shop(tmp_path, database, SteppedClock(NOW), customers=9)
    with WebhookReceiver(secrets=[SECRET], remembers=remembers) as receiver:
        given = {"url": receiver.url, "signing_secrets": ["${env:T_SECRET}"], "channel": "email"}
        hook = Hook(WebhookSettings.model_validate({**given, "idempotent": remembers}), http=Http())
        shop.provider = hook  # type: ignore[assignment]
        wait = Reply(status=429, headers={"Retry-After": "60"})
        receiver.fail_next(
            Reset(taken=True), Reset(), Reply(status=503, taken=True), wait, Reply(status=500), Cut(after=5)
        )
        shop.launch()
        for _ in range(12):
            shop.sender().drain()
            shop.clock.set(
                shop.clock.now() + timedelta(minutes=3 if shop.clock.now() < NOW + timedelta(minutes=20) else 24 * 60)
            )
        hook.close()
    times = Counter(received.key for received in receiver.accepted)
    assert set(times.values()) == {1}
    assert len(times) == (9 if remembers else 7)
    assert Counter(shop.states()) == ({State.ACCEPTED: 9} if remembers else {State.ACCEPTED: 4, State.UNKNOWN: 5})

"""A provider in another's place: it promises the same, accepts everything, and nothing leaves the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from engine.provider import Accepted, Capabilities, Http, Outcome, Outgoing, Provider, ProviderSettings
from engine.rate import Rate
from engine.sending.providers import open_providers
from engine.settings import Settings


class StandIn(Provider):
    """Accepts every message. `taken` holds them in the order in which they came, where `keep` is set."""

    def __init__(
        self,
        capabilities: Capabilities,
        *,
        rate: Rate | None = None,
        keep: bool = False,
        length: Callable[[str], int] = len,
    ) -> None:
        super().__init__(ProviderSettings(rate=rate), http=Http())
        self.capabilities, self.taken = capabilities, list[Outgoing]()
        self._length = length
        self._keep, self._lock = keep, threading.Lock()

    def length(self, text: str) -> int:
        return self._length(text)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        if self._keep:
            with self._lock:
                self.taken.append(outgoing)
        return Accepted(provider_message_id=f"stand-in-{outgoing.key}")


def stand_ins(settings: Settings, folder: Path, *, keep: bool = False) -> dict[str, Provider]:
    """A stand-in for every provider that a route of config.yaml names. Raises ProviderError where one cannot be set up."""
    opened = open_providers(settings, Http(), folder)
    try:
        return {
            name: StandIn(provider.capabilities, rate=provider.rate, keep=keep, length=provider.length)
            for name, provider in opened.items()
        }
    finally:
        for provider in opened.values():
            provider.close()

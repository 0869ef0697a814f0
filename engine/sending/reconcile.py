"""Messages in doubt, looked up at the vendors that can be asked: a few at a time, outside every transaction."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import structlog

from engine.errors import ContentError, ProviderError
from engine.ledger.look_ups import Question, found, take
from engine.provider import Ambiguous, Finding, NotFound, NotSent, Provider
from engine.sending.prepare import Means, Setup, rebuild
from engine.sending.retry import retry, spared
from engine.sending.routes import ways
from engine.sending.runs import Runs
from engine.store import Database

log = structlog.get_logger()

BATCH = 32
AT_ONCE = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciler:
    """Asks vendors about messages in doubt. Several processes may do so at once: each message has one asker at a time."""

    setup: Callable[[], Setup]
    database: Database
    now: Callable[[], datetime]
    runs: Runs
    link_number: Callable[[str], int]

    def reconcile(self, *, stopping: Callable[[], bool] = lambda: False) -> Counter[str]:
        """Look up everything whose turn it is. Returns how many look-ups ended how."""
        counts: Counter[str] = Counter()
        while not stopping() and (questions := self._questions()):
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look-up") as crew:
                counts.update(word for word in crew.map(lambda one: self._ask(one, stopping), questions) if word)
        if counts:
            log.info("looked up", **{word.replace(" ", "_"): count for word, count in sorted(counts.items())})
        return counts

    def _questions(self) -> list[Question]:
        setup = self.setup()
        times = {
            name: time
            for name, provider in setup.providers.items()
            if (time := provider.capabilities.settle_time) is not None
        }
        lease = setup.workspace.settings.sending.lease
        return take(self.database, times, limit=BATCH, lease=lease, now=self.now())

    def _ask(self, question: Question, stopping: Callable[[], bool]) -> str:
        """Ask, then write down what was found. Where the sender stops, somebody asks again when the lease is over."""
        if stopping():
            return ""
        asked_at = self.now()
        finding = self._look(question)
        sending, now = self.setup().workspace.settings.sending, self.now()
        never = NotSent(code="never_arrived")
        message, jitter = question.message, random.Random()  # noqa: S311  (spreads retries)
        own = spared(self.database, [message.provider or ""], [message], sending, now=now)
        again = retry(message, never, sending, now=now, jitter=jitter, spared=own)
        return found(self.database, question, finding, asked_at=asked_at, retry=again, now=now)

    def _look(self, question: Question) -> Finding:
        message, setup = question.message, self.setup()
        provider = setup.providers.get(message.provider or "")
        if provider is None:
            return Ambiguous(code="not_open", detail="the provider is not in config.yaml any more")
        deadline = time.monotonic() + setup.workspace.settings.sending.deadline.total_seconds()
        try:
            means = Means(setup=setup, database=self.database, link_number=self.link_number)
            outgoing = rebuild(means, message, self.runs.get(message.run_id))
            finding = provider.look_up(outgoing, deadline=deadline)
            if isinstance(finding, NotFound) and question.restored and not self._would_be_found(question, provider):
                return Ambiguous(code="restored", detail="it may have left at another time, or by another provider")
            return finding
        except ContentError as error:
            log.warning("a message in doubt cannot be looked up", message=message.id, why=error.what)
            return Ambiguous(code="cannot_rebuild", detail=error.what)
        except Exception as error:  # a provider should return, never raise
            log.exception("a look-up failed", message=message.id, provider=message.provider)
            return Ambiguous(code="provider_error", detail=type(error).__name__)

    def _would_be_found(self, question: Question, provider: Provider) -> bool:
        """Of a message that may have left before a restore: whether this vendor would have it, and show it."""
        message = question.message
        run = self.runs.get(message.run_id)
        try:
            hops = ways(self.setup().workspace.settings, message, run.campaign.message_class, message.sent_to)
        except ProviderError:
            return False
        return provider.capabilities.key_suffices and len({hop.provider for hop in hops}) == 1

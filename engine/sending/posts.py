"""How posts fare, asked of the vendors that tell: a few at a time, outside every transaction."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog

from engine.errors import NoPlainAnswer, SecretMissing
from engine.ledger import posts
from engine.ledger.posts import Post
from engine.ledger.record import record_events
from engine.model import EventName, Plain
from engine.provider import Engagement, ProviderEvent
from engine.sending.prepare import Setup
from engine.store import Database

log = structlog.get_logger()

BATCH = 100
LEASE = timedelta(minutes=10)
"""How long a vendor that does not answer is left in peace, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PostCounter:
    """Asks. Several processes may do so at once: each post has one asker at a time."""

    setup: Callable[[], Setup]
    database: Database
    now: Callable[[], datetime]

    def count(self) -> int:
        """Ask about every post whose turn it is, one question a provider. Returns how many posts' counts changed."""
        providers = [name for name, one in self.setup().providers.items() if one.capabilities.engagement]
        taken = posts.take(self.database, providers, limit=BATCH, lease=LEASE, now=self.now())
        of: dict[str, list[Post]] = defaultdict(list)
        for post in taken:
            of[post.provider].append(post)
        return sum(self._ask(name, theirs) for name, theirs in of.items())

    def _ask(self, name: str, theirs: Sequence[Post]) -> int:
        sending = self.setup().workspace.settings.sending
        deadline = time.monotonic() + sending.deadline.total_seconds()
        try:
            told = self.setup().providers[name].engagement([post.name for post in theirs], deadline=deadline)
        except (NoPlainAnswer, SecretMissing) as error:
            log.warning("how posts fare could not be asked", provider=name, why=error.what)
            return 0
        except Exception:  # a provider should return, or say why not
            log.exception("how posts fare could not be asked", provider=name)
            return 0
        now = self.now()
        reports = [_report(post, told[post.name], now) for post in theirs if post.name in told]
        changed = [report for report in reports if report is not None]
        record_events(self.database, changed, provider=name, now=now)
        posts.asked(self.database, theirs, frozenset(told), now=now)
        return len(changed)


def _report(post: Post, told: Engagement, now: datetime) -> ProviderEvent | None:
    """The report of new counts; None where nothing changed."""
    if told == post.counted:
        return None
    counts: dict[str, Plain] = {name: count for name, count in asdict(told).items() if count is not None}
    return ProviderEvent(
        name=EventName.COUNTED,
        at=now,
        dedupe=f"{post.name}:counted:{now.isoformat()}",
        provider_message_id=post.name,
        detail=counts,
    )

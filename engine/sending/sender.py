"""The sender: claims a batch and hands it over in groups, in as many threads as call it.

As many messages are on their way as their providers have slots, so that a crash leaves at most that many in doubt. A
receipt never waits behind a bulk run: every thread looks at the triggered lane first.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import structlog

from engine.clock import Clock
from engine.errors import StoreError
from engine.ledger import claim as ledger
from engine.ledger.doubts import DoubtRules, next_decision, resolve
from engine.ledger.hand_over import Held, keep
from engine.ledger.links import LinkNumbers
from engine.model import Lane, Message, Reason
from engine.policy import gather
from engine.provider import Capabilities
from engine.sending.hand_over import Claimed, hand_over_batch
from engine.sending.limits import Expected, Limits
from engine.sending.posts import PostCounter
from engine.sending.prepare import FAULT_PAUSE, Desk, Setup
from engine.sending.reconcile import Reconciler
from engine.sending.runs import Runs
from engine.sending.slots import Slots
from engine.sending.turns import Turns
from engine.sending.watch import Watch
from engine.sending.witness import Witness
from engine.settings import Sending
from engine.store import Database

log = structlog.get_logger()

BACK_OFF_SECONDS = 1.0
SHARE = 25
"""One pass puts a further thread to work for each so many due messages."""


class Sender:
    """Hands over what is due. `setup` gives the rules and providers in force; call it again after a reload.

    `witness` sees what leaves. Not `limited`, it knows no rates: a test of the rules asks whether a message leaves, not when.
    """

    def __init__(
        self,
        *,
        setup: Callable[[], Setup],
        database: Database,
        clock: Clock,
        limited: bool = True,
        witness: Witness | None = None,
    ) -> None:
        self._setup, self._database, self._clock = setup, database, clock
        self._runs, self._link_number = Runs(database), LinkNumbers(database)
        self._witness = witness
        self._slots, self._turns = Slots(), Turns(database)
        self._reconciler = Reconciler(
            setup=setup, database=database, now=clock.now, runs=self._runs, link_number=self._link_number
        )
        self._counter = PostCounter(setup=setup, database=database, now=clock.now)
        self._limits = Limits(database, setup, self._runs, enforced=limited)
        self._watch = Watch(setup=setup, database=database, now=clock.now)
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.stopping = threading.Event()
        # The same threads from pass to pass: providers keep a connection open for each.
        self._crew = ThreadPoolExecutor(setup().workspace.settings.sending.threads, thread_name_prefix="sender")

    # ------------------------------------------------------------ one pass, for `--once` and the stepped clock

    def drain(self) -> Counter[str]:
        """Tidy up, then hand over everything that is due now. Returns how many ended how."""
        self.tidy()
        self.reconcile()
        self.count_posts()
        self.watch()
        due = ledger.count_due(self._database, now=self._clock.now(), most=self.settings.threads * SHARE)
        crew = [self._crew.submit(self._drain) for _ in range(-(-due // SHARE))]
        return sum((worker.result() for worker in crew), Counter[str]())

    def _drain(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        while not self.stopping.is_set() and (done := self._batch(tuple(Lane))):
            counts.update(done)
        return counts

    def tidy(self) -> None:
        """Take back what dead senders held, end what is too late, and decide about what is in doubt."""
        now = self._clock.now()
        self._sync_witness()
        unsent, doubtful = ledger.recover(self._database, now=now)
        expired = ledger.expire(self._database, now=now)
        resolved = resolve(self._database, self._doubt_rules, now=now)
        self._limits.tidy(now)
        if unsent or doubtful or expired or resolved.resent or resolved.given_up:
            log.info(
                "tidied",
                taken_back=unsent,
                in_doubt=doubtful,
                expired=expired,
                again=resolved.resent,
                unknown=resolved.given_up,
            )

    def _sync_witness(self) -> None:
        try:
            if self._witness:
                self._witness.sync()
        except OSError as error:  # what it saw, the database knows too, but for a restore: the chores go on
            log.error("the witness of what leaves cannot be made safe", why=error.strerror)

    def reconcile(self) -> Counter[str]:
        """Ask vendors about the messages in doubt whose turn it is. Returns how many look-ups ended how."""
        return self._reconciler.reconcile(stopping=self.stopping.is_set)

    def count_posts(self) -> int:
        """Ask how posts to everybody fare, where it is time to. Returns how many posts' counts changed."""
        return self._counter.count()

    def next_due(self, after: datetime) -> datetime | None:
        """When a message that is no doubt needs attention next, not before `after`."""
        return ledger.next_due(self._database, after=after, opens=lambda run_id: self._limits.opens(run_id, after))

    def watch(self) -> bool:
        """Stop what goes badly, and let the rest of a run follow its first part. True where something became due."""
        return self._watch.look()

    def next_decision(self, after: datetime) -> datetime | None:
        """When a message in doubt, or the rest of a run, is decided about next; not before `after`."""
        moments = next_decision(self._database, self._doubt_rules, after=after), self._watch.next_look(after)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def _doubt_rules(self) -> DoubtRules:
        sending = self.settings
        return DoubtRules(promises=self._promises, patience=sending.lease, resolve_window=sending.resolve_window)

    def stop(self) -> None:
        """Ask every thread to end after the messages now in flight; what was claimed beyond them goes back unsent."""
        self.stopping.set()
        self._crew.shutdown()

    # ------------------------------------------------------------ one batch

    def work(self, lanes: Sequence[Lane]) -> Counter[str]:
        """Claim one batch of these lanes and hand it over; how many ended how. Empty where nothing was due, or where it
        failed: that is logged, and some time passes. Whoever calls this lives on.
        """
        try:
            return self._batch(lanes)
        except StoreError as error:  # no durable intent, no send: wait until the database can be written again
            log.error("sending waits for the database", error=str(error))
        except Exception:  # what it held goes back when the lease is over
            log.exception("a sender failed")
        self.stopping.wait(BACK_OFF_SECONDS)
        return Counter()

    def opens_within(self, seconds: float) -> float | None:
        """After work was done in vain: in how many seconds a run that its limits hold up may go on; None if not so soon."""
        return self._limits.opens_within(seconds, self._clock.now())

    def _batch(self, lanes: Sequence[Lane]) -> Counter[str]:
        taken_at = time.monotonic()
        claimed = self._claim(lanes)
        if claimed is None:
            return Counter()
        lane, batch, expected = claimed
        try:
            return self._hand_over(lane, batch, expected, taken_at)
        finally:
            expected.over()

    def _hand_over(self, lane: Lane, batch: list[Message], expected: Expected, taken_at: float) -> Counter[str]:
        sending = self.settings
        desk = Desk(
            setup=self._setup(),
            database=self._of(lane),
            now=self._clock.now,
            guard=taken_at + (sending.lease - sending.deadline).total_seconds(),
            until=batch[0].claim.lease_until - sending.deadline,
            stopping=self.stopping.is_set,
            link_number=self._link_number,
            jitter=random.Random(),  # noqa: S311  (spreads retries; no secret)
            slots=self._slots,
            limits=self._limits,
            expected=expected,
            bulk=lane is Lane.BULK,
            witness=self._witness,
        )
        by_run: dict[int, list[Message]] = defaultdict(list)
        for message in batch:
            by_run[message.run_id].append(message)
        known = (claimed for run_id, messages in by_run.items() for claimed in self._of_one_run(desk, run_id, messages))
        counts = Counter(hand_over_batch(desk, known))
        counts["held"] += len(batch) - counts.total()  # by a fault in their run
        return +counts

    def _claim(self, lanes: Sequence[Lane]) -> tuple[Lane, list[Message], Expected] | None:
        """The first lane that has something due; in the bulk lane the runs take turns, a batch each, as their limits allow."""
        sending, now = self.settings, self._clock.now()
        expect = partial(self._limits.expect, most=sending.batch, now=now)
        for lane in lanes:
            for expected in self._turns.next(now, expect) if lane is Lane.BULK else (Expected(sending.batch),):
                try:
                    batch = ledger.claim(
                        self._of(lane),
                        lane,
                        owner=self.name,
                        limit=expected.places,
                        lease=sending.lease,
                        now=now,
                        run_id=expected.run_id,
                    )
                except BaseException:
                    expected.over()
                    raise
                if batch:
                    expected.become(len(batch))
                    return lane, batch, expected
                expected.over()
        return None

    def _of(self, lane: Lane) -> Database:
        """The database as a lane's messages are written: triggered ones go ahead."""
        return self._database if lane is Lane.BULK else self._database.ahead

    def _of_one_run(self, desk: Desk, run_id: int, batch: list[Message]) -> list[Claimed]:
        """A fault in one run (its template cannot be read any more, say) holds up its own messages and no others."""
        try:
            run = self._runs.get(run_id)
            with self._database.reading() as connection:
                facts = gather(connection, batch, run.terms, desk.setup.workspace.settings, now=desk.now())
        except StoreError:
            raise
        except Exception:
            log.exception("a run could not be prepared", run=run_id)
            until = desk.now() + FAULT_PAUSE
            keep(self._database, [Held(message=m, until=until, reason=Reason.FAULT) for m in batch], now=desk.now())
            return []
        return [Claimed(message=message, run=run, facts=facts[message.id]) for message in batch]

    @property
    def settings(self) -> Sending:
        """The settings in force."""
        return self._setup().workspace.settings.sending

    def _promises(self, provider: str) -> Capabilities | None:
        opened = self._setup().providers.get(provider)
        return opened.capabilities if opened else None

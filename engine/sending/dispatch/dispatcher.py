"""What a dispatcher is: it sees to it that senders come where messages are due, and that what died with one is taken back."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from engine.clock import Clock
from engine.errors import StoreError
from engine.ledger.claim import give_back
from engine.model import Lane
from engine.sending.dispatch.workers import Kind, Worker, beat, leave, living
from engine.sending.sender import Sender
from engine.store import Database

log = structlog.get_logger()

SWEEP_SECONDS = 1.0
BEAT_SECONDS = 10.0
WATCH_SECONDS = 5.0
COUNT_SECONDS = 60.0


class Dispatcher(ABC):
    """Brings the sender's threads to due messages, until `stop`.

    The ledger is the queue: whatever a dispatcher writes down or forgets, no message is lost or doubled by it.
    """

    def __init__(self, sender: Sender, database: Database, clock: Clock) -> None:
        self.sender, self.database, self.clock = sender, database, clock
        self._chores: list[threading.Thread] = []

    # ------------------------------------------------------------ what each way does in its own manner

    @abstractmethod
    def submit(self, connection: Connection, lane: Lane, owed: int) -> None:
        """Inside the transaction that owes so many messages of a lane: senders are to come when it commits."""

    @abstractmethod
    def wake(self) -> None:
        """After that commit: nobody in this process needs to wait for his next look. Returns at once, never raises."""

    @abstractmethod
    def refill(self) -> None:
        """Every second: where due messages wait and nobody was told, tell."""

    @abstractmethod
    def _begin(self) -> None:
        """Start the threads that hand over."""

    @abstractmethod
    def _end(self) -> None:
        """Wait until they have ended; the sender has been asked to stop."""

    # ------------------------------------------------------------ what both share

    def start(self, kind: Kind) -> None:
        """Begin to hand over whatever becomes due."""
        self._begin()
        me = Worker.here(self.sender.name, kind, now=self.clock.now())
        chores: Mapping[str, tuple[Callable[[], object], float]] = {
            "tidying": (self.sender.tidy, SWEEP_SECONDS),
            "looking up": (self._reconcile, SWEEP_SECONDS),
            "counting": (self.sender.count_posts, COUNT_SECONDS),
            "watching": (self._watch, WATCH_SECONDS),
            "dispatching": (self.refill, SWEEP_SECONDS),
            "the heartbeat": (lambda: beat(self.database, replace(me, seen_at=self.clock.now())), BEAT_SECONDS),
        }
        for what, (do, seconds) in chores.items():
            chore = threading.Thread(target=self._again_and_again, args=(what, do, seconds), name=what, daemon=True)
            self._chores.append(chore)
            chore.start()

    def stop(self) -> None:
        """End after the messages now in flight; what was claimed beyond them goes back unsent."""
        self.sender.stop()
        if not self._chores:
            return
        self._end()
        for chore in self._chores:
            chore.join()
        self._guarded("giving back", self._give_back)
        self._guarded("signing off", lambda: leave(self.database, self.sender.name))

    def health(self) -> Sequence[Worker]:
        """Every process that hands over for this ledger and gave a sign of life of late, this one included."""
        return living(self.database, now=self.clock.now())

    def _give_back(self) -> None:
        if unsent := give_back(self.database, self.sender.name, now=self.clock.now()):
            log.info("given back", taken_back=unsent)

    def _reconcile(self) -> None:
        if self.sender.reconcile():
            self.wake()

    def _watch(self) -> None:
        if self.sender.watch():
            self.wake()

    def _again_and_again(self, what: str, do: Callable[[], object], seconds: float) -> None:
        """A chore lives on, whatever happens, and tries again after its time."""
        while True:
            self._guarded(what, do)
            if self.sender.stopping.wait(seconds):
                return

    def _guarded(self, what: str, do: Callable[[], object]) -> None:
        try:
            do()
        except StoreError as error:
            log.error(f"{what} waits for the database", error=str(error))
        except Exception:
            log.exception(f"{what} failed")

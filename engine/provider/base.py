"""A provider: one vendor behind a channel."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import cached_property, partial
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, TypeVar

from engine.errors import ForgedWebhook
from engine.images import Picture
from engine.provider.capabilities import Capabilities
from engine.provider.http import Http
from engine.provider.outcome import (
    Accepted,
    Ambiguous,
    Engagement,
    Finding,
    MailRecords,
    NotFound,
    NotSent,
    Outcome,
    Rejected,
    Verified,
)
from engine.provider.outgoing import Outgoing, TextContent
from engine.provider.reports import Inbox, ProviderEvent, Webhook
from engine.provider.settings import ProviderSettings, Secret
from engine.provider.texts import without_personal
from engine.rate import Rate

HEARTBEAT_SECONDS = 0.1
Result = TypeVar("Result")


class Provider(ABC):
    """One vendor behind a channel. Instances are shared by all sender threads; making one needs no secret and no network."""

    Settings: ClassVar[type[ProviderSettings]] = ProviderSettings
    one_caller: ClassVar[bool] = False
    """Whether the thread that calls `send_many` drives all connections itself: a second one would only slow it down."""
    capabilities: Capabilities

    def __init__(self, settings: Any, *, http: Http) -> None:
        self.settings = settings
        self.http = http
        self._crew = ThreadPoolExecutor(self.settings.connections)  # it has no thread before there is work

    @abstractmethod
    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        """Hand one message over. `deadline` is a `time.monotonic()` instant for the whole call. Returns, never raises."""

    def send_many(self, batch: Sequence[Outgoing], *, deadline: float) -> Iterator[tuple[Outgoing, Outcome] | None]:
        """Hand over up to `batch_limit` messages, and yield how each ended as soon as that is known, in any order.

        While all that is left is waiting it yields None ten times a second, so that what has ended is not kept waiting for
        the slowest. Never raises; yields each message once. As it stands: `send` for each, on threads.
        """
        if len(batch) == 1:
            yield self._sent(batch[0], deadline)
            return
        yield from self.at_once([partial(self._sent, outgoing, deadline) for outgoing in batch])

    def _sent(self, outgoing: Outgoing, deadline: float) -> tuple[Outgoing, Outcome]:
        try:
            return outgoing, self.send(outgoing, deadline=deadline)
        except Exception as error:  # against its contract; what it did, nobody knows, and the others go on
            return outgoing, Ambiguous(code="provider_error", detail=type(error).__name__)

    def at_once(self, calls: Sequence[Callable[[], Result]]) -> Iterator[Result | None]:
        """Make these calls on as many threads as there are connections, and yield what each returned as it ends.

        While none ends it yields None ten times a second. Calls that have not begun when nobody asks any more are not made.
        """
        ended: SimpleQueue[Future[Result]] = SimpleQueue()
        made = [self._crew.submit(call) for call in calls]
        try:
            for call in made:
                call.add_done_callback(ended.put)
            waiting = len(made)
            while waiting:
                try:
                    result = ended.get(timeout=HEARTBEAT_SECONDS).result()
                except Empty:
                    yield None
                else:
                    waiting -= 1
                    yield result
        finally:
            for call in made:
                call.cancel()

    @property
    def batch_limit(self) -> int:
        """How many messages one `send_many` takes: those of one request, or of all connections."""
        return int(self.settings.connections)

    @property
    def in_flight_limit(self) -> int:
        """How many messages may be on their way at once, over all calls: so many a crash can leave in doubt."""
        return int(self.settings.connections)

    @property
    def rate(self) -> Rate | None:
        """How many messages the vendor takes within a time, from all senders together; None where config.yaml says nothing."""
        given: Rate | None = self.settings.rate
        return given

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        """Ask the vendor whether it has a message that was handed over at `outgoing.at`, without sending it. Never raises."""
        return Ambiguous(code="no_look_up", detail="this vendor cannot be asked")

    def length(self, text: str) -> int:
        """How long a text is as the vendor counts; characters, where it counts like everybody."""
        return len(text)

    def engagement(self, post_ids: Sequence[str], *, deadline: float) -> Mapping[str, Engagement]:
        """How our own posts, by the vendor's ids, have fared so far, at most a hundred of them. What is missing in the answer
        is not there any more. Raises NoPlainAnswer or SecretMissing.
        """
        return {}

    def refused_as_double(self, outgoing: Outgoing, *, code: str, deadline: float) -> Outcome:
        """What it proves that a vendor refused a message because it has the same words already: it is asked which those are.

        Ours, handed over before, or another message's, and then this one is refused. Where it cannot tell, that is doubt.
        """
        match self.look_up(outgoing, deadline=deadline):
            case NotFound():
                return Rejected(code=code, detail="the same words stand there already")
            case Accepted() as found:
                return found
            case other:
                return Ambiguous(code=code, detail=other.code)

    def picture(self, outgoing: Outgoing, *, deadline: float) -> Picture | NotSent | Rejected | None:
        """The image that a message shows, as its vendor takes it (`image_limits`); None where it shows none. Half of the time
        left may go by. What is no picture means that nothing was published.
        """
        content, limits = outgoing.content, self.capabilities.image_limits
        if not isinstance(content, TextContent) or content.image is None or limits is None:
            return None
        now = time.monotonic()
        return self.http.picture(content.image, limits, deadline=now + (deadline - now) / 2)

    def verify(self, *, deadline: float) -> Verified | None:
        """Ask the vendor whether it knows us, and send nothing. None where it cannot be asked. Never raises."""
        return None

    def mail_records(self, sender: str) -> MailRecords | None:
        """Where DNS must vouch for mail from `sender`; None where this is no mail. Raises ContentError for no address."""
        return None

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        """The events in a webhook's body, after its signature was checked.

        Raises ForgedWebhook; IntakeError where the signature is right and the body cannot be read.
        """
        raise ForgedWebhook("this provider has no webhooks", remedy="Remove the webhook at the vendor.")

    def challenge(self, webhook: Webhook) -> str | None:
        """What a vendor wants to hear that asks whether this webhook is ours; None where it does not ask. Raises ForgedWebhook."""
        return None

    @property
    def inboxes(self) -> Sequence[Inbox]:
        """Where reports about this provider's messages are fetched from, besides its webhooks."""
        return ()

    def close(self) -> None:
        """Give back threads and connections. Whoever still sends may do so; later calls open new ones."""
        crew, self._crew = self._crew, ThreadPoolExecutor(self.settings.connections)
        crew.shutdown(wait=False)

    def words(self, text: object, outgoing: Outgoing) -> str:
        """The vendor's words as an outcome's detail: without the recipient's address and without our secrets."""
        secrets = [os.environ.get(secret.variable, "") for secret in self._secrets]
        return without_personal(str(text or ""), outgoing.to or "", *secrets)

    @cached_property
    def _secrets(self) -> tuple[Secret, ...]:
        secrets: tuple[Secret, ...] = self.settings.secrets()
        return secrets

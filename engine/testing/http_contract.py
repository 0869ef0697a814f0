"""The contract of providers that speak HTTP: what each status, silence and broken answer proves."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

from engine.errors import NoPlainAnswer, RegularsError
from engine.provider import Accepted, Ambiguous, Engagement, Http, NotSent, Outcome, Provider, Rejected, TextContent
from engine.testing.contract import ProviderContract, lines, raises
from engine.testing.vendors.images import png
from engine.testing.vendors.server import (
    Cut,
    Drip,
    Fault,
    HttpVendor,
    Received,
    Reply,
    Request,
    Reset,
    Silence,
    closed_port,
    full_port,
)


def verdict(status: int) -> type[NotSent] | type[Rejected] | type[Ambiguous]:
    """What an HTTP status proves where the vendor's own codes say nothing more."""
    if status in (401, 402, 403, 404, 405, 429):
        return NotSent
    return Rejected if 400 <= status < 500 and status not in (408, 409, 425) else Ambiguous


PREPARING: Sequence[Fault] = (
    *(fault(taken=taken) for fault in (Silence, Reset) for taken in (False, True)),
    *(Cut(after=after, taken=taken) for after in (0, 11) for taken in (False, True)),
    Reset(after=11),
    Drip(seconds=0.05),
    *(Reply(status=status) for status in (301, 302, *range(400, 430), 500, 502, 503, 504)),
)
"""What may happen to a request that only prepares."""

UNREADABLE = (
    b"",
    b"<html>OK</html>",
    b"\xff\xfe\x00",
    b'{"id": ',
    b"null",
    b"[1]",
    b'"x"',
    b"[" * 50_000,
    b"x" * 2_000_000,
)


def _numbered(body: Any) -> Any:
    """An answer with a number for every text in it."""
    if isinstance(body, Mapping):
        return {name: _numbered(value) for name, value in body.items()}
    if isinstance(body, list | tuple):
        return [_numbered(value) for value in body]
    return 1000 if isinstance(body, str) else body


class HttpContract(ProviderContract):
    """What holds for every provider that speaks HTTP. `vendor` runs while a test runs.

    refusals_inside: answers of 2xx by which the vendor says no all the same. Where there are such, a 2xx that cannot be
    read is no yes, but doubt.
    """

    vendor: HttpVendor
    deadline = 0.3  # seconds that a caller waits for a silent vendor here
    refusals_inside: ClassVar[Sequence[Reply]] = ()

    @abstractmethod
    def make_at(self, url: str, http: Http) -> Provider:
        """The provider, its vendor being at `url`."""

    def make(self, http: Http) -> Provider:
        return self.make_at(self.vendor.url, http)

    def received(self) -> Sequence[Received]:
        return self.vendor.accepted

    def use(self, act: Callable[[Provider], Any], make: Callable[[Http], Provider] | None = None) -> Any:
        """The same, and where the stand-in broke down meanwhile, that is why the test fails."""
        try:
            return super().use(act, make)
        finally:
            self.vendor.hold()

    def send_to(self, url: str, *, within: float = 10.0) -> Outcome:
        outgoing = self.outgoing()
        outcome: Outcome = self.use(
            lambda provider: provider.send(outgoing, deadline=time.monotonic() + within),
            lambda http: self.make_at(url, http),
        )
        self.assert_discreet(outcome, outgoing)
        return outcome

    def test_the_vendors_id_is_kept(self) -> None:
        """Accepted carries the vendor's own id, by which its events can find the message."""
        outcome = self.send(self.outgoing())
        assert isinstance(outcome, Accepted)
        assert outcome.provider_message_id == self.vendor.accepted[0].provider_message_id

    def test_a_vendor_may_count(self) -> None:
        """An answer whose texts are numbers, as the ids of many vendors are, is read like any other: an id is kept as text."""
        take = self.vendor.take

        def counting(request: Request) -> tuple[Reply, Received | Sequence[Received] | None]:
            reply, taken = take(request)
            return replace(reply, body=reply.body if isinstance(reply.body, bytes) else _numbered(reply.body)), taken

        self.vendor.take = counting  # type: ignore[method-assign]
        outcome = self.send(self.outgoing())
        assert isinstance(outcome, Accepted | NotSent | Rejected | Ambiguous)
        if isinstance(outcome, Accepted):
            assert isinstance(outcome.provider_message_id, str | None)

    def test_an_unreadable_yes_is_a_yes(self) -> None:
        """2xx with a body that cannot be read is accepted, its id unknown: sending again would double it. It is doubt, never
        a no, where a vendor refuses inside of a 2xx.
        """
        for status in (200, 201, 202):
            for body in UNREADABLE:
                self.vendor.fail_next(Reply(status=status, body=body))
                outcome = self.send(self.outgoing())
                assert self._as_unread(outcome), (status, body[:20], outcome)

    def _as_unread(self, outcome: Outcome) -> bool:
        return isinstance(outcome, Ambiguous) if self.refusals_inside else outcome == Accepted()

    def test_a_no_inside_a_yes_is_a_no(self) -> None:
        """An error in the body of a 2xx is not accepted, and tells neither address nor secret."""
        for refusal in self.refusals_inside:
            self.vendor.fail_next(refusal)
            outcome = self.send(self.outgoing())
            assert isinstance(outcome, NotSent | Rejected | Ambiguous), (refusal, outcome)
        assert not self.vendor.accepted

    def test_a_yes_cut_short_is_a_yes(self) -> None:
        """Once the status says 2xx, losing the rest of the answer proves nothing against it; a slow rest is not waited for."""
        answer = Reply(status=200, body=b"{" + b" " * 500)
        for fault in (Cut(after=100, answer=answer), Drip(at_once=100, seconds=self.deadline / 6, answer=answer)):
            self.vendor.fail_next(fault)
            began = time.monotonic()
            assert self._as_unread(self.send(self.outgoing(), within=self.deadline)), fault
            assert time.monotonic() - began < self.deadline + 1

    def test_each_status_has_one_meaning(self) -> None:
        """Every status from 400 to 599 is exactly one of: not sent, rejected, in doubt; 401 and 402 refuse us, not the message; and its
        body tells no secret."""
        outgoing = self.outgoing()
        echo = " ".join((outgoing.to or "", *self.environment.values()))
        for status in range(400, 600):
            told = {"error": echo, "message": echo, "errors": [{"message": echo, "field": None, "help": None}]}
            self.vendor.fail_next(Reply(status=status, body=told if status % 2 else echo.encode()))
            outcome = self.send(outgoing)
            assert isinstance(outcome, verdict(status)), (status, outcome)
            refused = isinstance(outcome, NotSent) and outcome.no_access
            assert refused == (status in (401, 402)), (status, outcome)  # only then is it we, and not the message
        assert not self.vendor.accepted

    def test_what_never_left_is_not_sent(self) -> None:
        """Refused connections and names that do not resolve prove that the message was not taken."""
        for url in (f"http://127.0.0.1:{closed_port()}", "http://vendor.invalid", f"https://127.0.0.1:{closed_port()}"):
            assert isinstance(self.send_to(url), NotSent), url

    def test_a_connection_that_never_stands_is_not_sent(self) -> None:
        """Where nobody takes the call up in time, nothing has left."""
        with full_port() as port:
            assert isinstance(self.send_to(f"http://127.0.0.1:{port}", within=self.deadline), NotSent)

    def test_a_failed_tls_handshake_is_not_sent(self) -> None:
        """A server that speaks no TLS where TLS is due never saw the request."""
        assert isinstance(self.send_to(self.vendor.url.replace("http://", "https://")), NotSent)
        assert not self.vendor.accepted

    def test_silence_is_doubt(self) -> None:
        """After the request left, silence, a reset or an answer broken off before its status leave it open; both are true."""
        for taken in (False, True):
            for fault in (
                Silence(taken=taken),
                Reset(taken=taken),
                Reset(taken=taken, after=11),
                Cut(after=0, taken=taken),
                Cut(after=11, taken=taken),
            ):
                before = len(self.vendor.accepted)
                self.vendor.fail_next(fault)
                outcome = self.send(self.outgoing(key=f"0a1b2c3d-{before}{taken}"), within=self.deadline)
                assert isinstance(outcome, Ambiguous), (fault, outcome)
                assert len(self.vendor.accepted) == before + taken

    def test_what_only_prepares_leaves_no_doubt(self) -> None:
        """Logging in, uploading an image: whatever becomes of such a request, nothing was published. The next hand-over does."""
        assert isinstance(self.send(self.outgoing(key="0a1b2c3d-8")), Accepted)
        steps, outgoing = self.vendor.preparations, self.outgoing()
        outgoing = replace(outgoing, content=replace(outgoing.content, text="Other words"))
        for step in range(steps):
            for fault in PREPARING:
                before = len(self.vendor.accepted)
                self.vendor.fail_preparing(*[None] * step, fault)
                slow = isinstance(fault, Silence | Drip)
                outcome = self.send(outgoing, within=self.deadline if slow else 10.0)
                refused = isinstance(fault, Reply) and verdict(fault.status) is Rejected
                assert isinstance(outcome, NotSent | Rejected if refused else NotSent), (step, fault, outcome)
                assert len(self.vendor.accepted) == before, (step, fault)
        assert isinstance(self.send(outgoing), Accepted)

    def test_an_answer_that_cannot_be_read_prepares_nothing_wrong(self) -> None:
        """A yes to a request that only prepares, of which the rest cannot be read: it is done without the rest, or not at all."""
        assert isinstance(self.send(self.outgoing(key="0a1b2c3d-8")), Accepted)
        for step in range(self.vendor.preparations):
            for number, body in enumerate(UNREADABLE):
                before = len(self.vendor.accepted)
                self.vendor.fail_preparing(*[None] * step, Reply(status=200, body=body, taken=True))
                outcome = self.send(self._another(100 * step + number))
                assert isinstance(outcome, NotSent | Rejected | Accepted), (step, body[:20], outcome)
                assert len(self.vendor.accepted) == before + isinstance(outcome, Accepted)

    def test_an_image_that_cannot_be_had_publishes_nothing(self) -> None:
        """Silence where it lies, no image there, one that the vendor does not take: not sent or refused, and the vendor is spared.
        It is the message's own matter: the vendor's others go on.
        """
        limits = self.use(lambda provider: provider.capabilities.image_limits)
        outgoing, asked = self.outgoing(), self.vendor.preparations
        if limits is None or not isinstance(outgoing.content, TextContent):
            return
        later: list[Fault] = [
            Silence(),
            Reset(),
            Cut(after=200, answer=Reply(status=200, body=png(weight=500))),
            Drip(seconds=0.05),
        ]
        later += [Reply(status=status) for status in (301, 302, 401, 403, 404, 410, 429, 500, 503)]
        never: list[Fault] = [
            Reply(status=200, body=body) for body in (b"", b"<html>OK</html>", b"\x89PNG", b"%PDF-1.7")
        ]
        never.append(Reply(status=200, body=png(weight=limits.most_bytes)))
        for fault in [*later, *never]:
            self.host.fail_next(fault)
            slow = isinstance(fault, Silence | Drip)
            outcome = self.send(outgoing, within=self.deadline if slow else 10.0)
            assert isinstance(outcome, NotSent if fault in later else Rejected), (fault, outcome)
            assert outcome.code.startswith("image_"), outcome
            assert isinstance(outcome, Rejected) or outcome.alone, outcome
        inside = replace(outgoing.content, image=self.host.url.replace("127.0.0.1", "localhost"))
        assert isinstance(self.send(replace(outgoing, content=inside)), Rejected)
        assert not self.vendor.accepted and self.vendor.requests == 0 and self.vendor.preparations == asked

    def test_doubt_about_some_is_not_lost_among_many(self) -> None:
        """Of many handed over together, none that was told as not sent was taken, and none told as accepted was not."""
        for taken in (False, True):
            before = len(self.vendor.accepted)
            self.vendor.fail_next(Silence(taken=taken), Reset(taken=taken), Reply(status=429), Reply(status=503))
            batch = self.batch(first=100 * taken)
            ended = self.send_many(batch, within=self.deadline * 3)
            accepted = {key for key, outcome in ended.items() if isinstance(outcome, Accepted)}
            doubted = {key for key, outcome in ended.items() if isinstance(outcome, Ambiguous)}
            assert doubted
            texts = [received.text for received in self.vendor.accepted[before:]]
            found = {one.key for one in batch if any(lines(one.content.text)[0] in text for text in texts)}
            assert accepted <= found <= accepted | doubted and len(texts) == len(found)

    def test_the_deadline_is_for_the_whole_call(self) -> None:
        """A vendor that sends its answer byte by byte, never late with one, is left at the deadline."""
        self.vendor.fail_next(Drip(seconds=self.deadline / 6))
        began = time.monotonic()
        assert isinstance(self.send(self.outgoing(), within=self.deadline), Ambiguous)
        assert self.deadline * 0.9 <= time.monotonic() - began < self.deadline + 1

    def test_retry_after_in_both_forms(self) -> None:
        """429 says how long to wait, in seconds or as a date; an age is capped at an hour. No word, and nonsense, mean to wait, too:
        else each try would use up an attempt.
        """
        now, hour = datetime.now(UTC), timedelta(hours=1)
        later, before = (format_datetime(now + timedelta(minutes=each), usegmt=True) for each in (5, -5))
        plain = {
            "17": timedelta(seconds=17),
            later: timedelta(minutes=5),
            "9" * 30: hour,
            "0": timedelta(),
            before: timedelta(),
        }
        for value, expected in {**plain, "": None, "soon": None, "-5": None}.items():
            self.vendor.fail_next(Reply(status=429, headers={"Retry-After": value} if value else {}))
            outcome = self.send(self.outgoing())
            assert isinstance(outcome, NotSent) and outcome.retry_after is not None, value
            if expected is not None:
                assert abs(outcome.retry_after - expected) < timedelta(seconds=30), value

    def test_failures_tell_neither_address_nor_secret(self) -> None:
        """Nothing that is logged about a failure, at any level, by us or by what we stand on, says to whom, or with what key."""
        outgoing, batch = self.outgoing(), self.batch()
        told = {"message": " ".join((outgoing.to or "", *self.environment.values()))}
        with self.listening(outgoing, *batch):
            for fault in (Reply(status=400, body=told), Reply(status=500, body=told), Reset(), Cut(after=11)):
                self.vendor.fail_next(fault)
                self.send(outgoing)
            self.vendor.fail_next(Reply(status=429), Reset(), Reply(status=400, body=told))
            self.send_many(batch)
            self.send_to(f"http://127.0.0.1:{closed_port()}")
            self.send_to(self.vendor.url.replace("http://", "https://"))

    def test_counts_are_told_plainly_or_not_at_all(self) -> None:
        """How posts fare is about the posts that were asked about; an answer that is no plain one is no count."""
        can = self.use(lambda provider: provider.capabilities)
        if not can.engagement:
            assert self._engagement("1") == {}
            return
        sent = self.send(self.outgoing(to=None))
        assert isinstance(sent, Accepted) and sent.provider_message_id
        name = sent.provider_message_id
        assert set(self._engagement(name)) <= {name}
        faults = [Reply(status=status) for status in (301, 400, 401, 403, 429, 500, 503)]
        faults += [Reply(status=200, body=body) for body in UNREADABLE]
        broken: tuple[Fault, ...] = (*faults, Reset(), Cut(after=11), Silence())
        for fault in broken:
            self.vendor.fail_next(fault)
            within = self.deadline if isinstance(fault, Silence) else 10.0
            assert raises(NoPlainAnswer, self._engagement, name, within), fault
        for variable in self.environment:
            os.environ.pop(variable)
        assert raises(RegularsError, self._engagement, name)

    def _engagement(self, name: str, within: float = 10.0) -> Mapping[str, Engagement]:
        deadline = time.monotonic() + within
        told: Mapping[str, Engagement] = self.use(lambda provider: provider.engagement([name], deadline=deadline))
        return told

    def test_redirects_are_not_followed(self) -> None:
        """A redirect is an answer, not a way: the message and our secret go to one address only."""
        for status in (301, 302, 303, 307, 308):
            with_before = self.vendor.requests
            self.vendor.fail_next(Reply(status=status, headers={"Location": self.vendor.url + "/elsewhere"}))
            assert isinstance(self.send(self.outgoing()), NotSent | Ambiguous)
            assert self.vendor.requests == with_before + 1

"""The contract of providers whose vendor can be asked: what was taken is found, what was not is not, and doubt stays doubt."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta

from engine.provider import Accepted, Ambiguous, EmailContent, Finding, Http, NotFound, NotSent, Outgoing, Provider
from engine.testing.contract import NOW, OTHERS
from engine.testing.http_contract import UNREADABLE, HttpContract
from engine.testing.vendors.server import Cut, Drip, Fault, Reply, Reset, Silence, closed_port


class LookUpContract(HttpContract):
    """What holds for every provider with a `settle_time`. The vendor's clock is set; its list lags a minute behind."""

    def setup_method(self) -> None:
        super().setup_method()
        self._ahead = timedelta()

    def look_up(self, outgoing: Outgoing, *, within: float = 10.0, url: str | None = None) -> Finding:
        """Ask, by a provider opened for it."""

        def make(http: Http) -> Provider:
            return self.make_at(url or self.vendor.url, http)

        finding: Finding = self.use(
            lambda provider: provider.look_up(outgoing, deadline=time.monotonic() + within), make
        )
        shown = repr(finding)
        for word in (outgoing.to or "", *self.environment.values()):
            assert not word or word.lower() not in shown.lower(), f"{shown[:12]} tells an address or a secret"
        return finding

    def at_work(self) -> None:
        """The vendor's clock is a second after the hand-over, and its list a minute behind."""
        self.vendor.clock = lambda: NOW + timedelta(seconds=1) + self._ahead
        self.vendor.lag = timedelta(minutes=1)

    def later(self, after: timedelta | None = None) -> None:
        """The settle time passes, or another span."""
        settled = self.use(lambda provider: provider.capabilities.settle_time)
        assert settled is not None, "a provider that can be asked says after what time its vendor's list is complete"
        self._ahead += settled if after is None else after

    def test_what_was_taken_is_found(self) -> None:
        """After the settle time at the latest a message that the vendor took is found, by the id of its acceptance."""
        self.at_work()
        sent = self.send(self.outgoing())
        assert isinstance(sent, Accepted)
        before = self.look_up(self.outgoing())
        assert isinstance(before, NotFound | Accepted)
        self.later()
        assert self.look_up(self.outgoing()) == Accepted(provider_message_id=sent.provider_message_id)
        assert len(self.vendor.accepted) == 1  # to ask is not to send

    def test_a_lost_answer_is_found_out(self) -> None:
        """Whether the vendor took the message before it fell silent: the look-up tells, both ways."""
        self.at_work()
        for taken in (True, False):
            outgoing = self.batch()[taken]
            self.vendor.fail_next(Silence(taken=taken))
            assert isinstance(self.send(outgoing, within=self.deadline), Ambiguous)
            self.later()
            finding = self.look_up(outgoing)
            assert isinstance(finding, Accepted if taken else NotFound), finding

    def test_anothers_message_is_not_mistaken_for_it(self) -> None:
        """The same words to somebody else, other words to the same person, and words of long ago are other messages."""
        self.at_work()
        mine = self.outgoing()
        content = replace(mine.content, text="Other words")
        if isinstance(content, EmailContent):
            content = replace(content, subject="Other words")
        others = [replace(mine, key="0a1b2c3d-88", content=content)]
        if mine.to is not None:
            others.append(replace(mine, key="0a1b2c3d-89", to=OTHERS[mine.channel].format(7)))
        for other in others:
            assert isinstance(self.send(other), Accepted)
        self.later()
        assert isinstance(self.look_up(mine), NotFound)
        self.later(timedelta(days=2))
        assert isinstance(self.send(replace(mine, key="0a1b2c3d-90")), Accepted)
        self.later()
        assert isinstance(self.look_up(mine), NotFound | Ambiguous)
        old = replace(mine, at=mine.at + timedelta(days=1, hours=12))
        assert isinstance(self.look_up(replace(old, key="0a1b2c3d-91")), NotFound | Ambiguous)

    def test_a_question_without_an_answer_proves_nothing(self) -> None:
        """Whatever a vendor answers instead of its list: neither that it has the message, nor that it has not."""
        self.at_work()
        assert isinstance(self.send(self.outgoing()), Accepted)
        self.later()
        faults = [Reply(status=status) for status in (301, 400, 401, 403, 404, 408, 422, 429, 500, 502, 503)]
        bodies = [
            Reply(status=200, body=body) for body in (*UNREADABLE, b"{}", b'{"messages": {}}', b'{"messages": null}')
        ]
        broken: list[Fault] = [*faults, *bodies, Reset(), Cut(after=0), Cut(after=11), Cut(after=80)]
        for fault in broken:
            self.vendor.fail_next(fault)
            assert isinstance(self.look_up(self.outgoing()), Ambiguous), fault
        slow: Fault
        for slow in (Silence(), Drip(seconds=self.deadline / 6)):
            self.vendor.fail_next(slow)
            assert isinstance(self.look_up(self.outgoing(), within=self.deadline), Ambiguous), slow
        assert isinstance(self.look_up(self.outgoing(), url=f"http://127.0.0.1:{closed_port()}"), Ambiguous)
        asked = self.vendor.requests
        assert isinstance(self.look_up(self.outgoing(), within=-1), Ambiguous) and self.vendor.requests == asked

    def test_without_a_secret_nothing_is_proved(self) -> None:
        """Where a message could not be sent, its vendor cannot be asked: that is doubt, no negative answer."""
        for name in self.environment:
            os.environ.pop(name)
        if self.environment:
            assert isinstance(self.send(self.outgoing()), NotSent)
            assert isinstance(self.look_up(self.outgoing()), Ambiguous)

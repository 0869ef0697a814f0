"""The contract that every provider must pass; plugin authors subclass it in their own tests.

    class TestMine(HttpContract, WebhookContract):
        @pytest.fixture(autouse=True)
        def _vendor(self):
            with MyVendor() as self.vendor:
                yield

        def make_at(self, url, http):
            return Mine(Mine.Settings(api_key="${env:MINE_API_KEY}", base_url=url), http=http)

pytest collects the inherited tests. They need no network but this machine's loopback. What holds for HTTP stands in
`http_contract`, what holds for webhooks in `webhook_contract`, for vendors that can be asked in `look_up_contract`.
"""

from __future__ import annotations

import logging
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from engine.errors import ForgedWebhook, ProviderError
from engine.model import Channel, MessageClass
from engine.provider import (
    Accepted,
    Ambiguous,
    ApprovedTemplate,
    Content,
    EmailContent,
    Http,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    Rejected,
    TextContent,
    Webhook,
    refuse_what_is_not_promised,
)
from engine.testing.vendors.images import ImageHost, png
from engine.testing.vendors.server import Received

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KEY = "0a1b2c3d-42"
TO: Mapping[Channel, str] = {
    Channel.EMAIL: "ana.virtanen@customer.example",
    Channel.SMS: "+358401234567",
    Channel.WHATSAPP: "+358401234567",
    Channel.MESSENGER: "1234567890123456",
    Channel.TELEGRAM: "1234567890",
    Channel.SOCIAL: "@ana@social.example",
    Channel.WEBHOOK: "device-0123456789abcdef",
}
OTHERS: Mapping[Channel, str] = {
    Channel.EMAIL: "customer{:03}@customer.example",
    Channel.SMS: "+358401234{:03}",
    Channel.WHATSAPP: "+358401234{:03}",
    Channel.MESSENGER: "1234567890123{:03}",
    Channel.TELEGRAM: "1234567{:03}",
    Channel.SOCIAL: "@customer{:03}@social.example",
    Channel.WEBHOOK: "device-0123456789{:03}",
}
FROM: Mapping[Channel, str] = {
    Channel.EMAIL: "Example Records <hello@shop.example>",
    Channel.SMS: "+15005550006",
    Channel.WHATSAPP: "+15005550006",
    Channel.MESSENGER: "105551234567890",
    Channel.TELEGRAM: "@examplerecords",
    Channel.SOCIAL: "@records@social.example",
    Channel.WEBHOOK: "Example Records",
}
NASTY = (
    "",
    "\r\nBcc: thief@evil.example\r\n\r\nbody",
    "=?utf-8?q?x=0D=0ABcc:_thief@evil.example?=",
    "a\x00b\x85c\u2028d\ud800e",
    "x" * 5000,
    "日本語 🎉 \u202eright to left",
)


class ProviderContract:
    """What holds for every provider, whatever it speaks.

    environment: set while a test runs; its values are secrets. vendor_loggers: names of loggers that are the vendor's own.
    """

    environment: ClassVar[Mapping[str, str]] = {}
    vendor_loggers: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def make(self, http: Http) -> Provider:
        """The provider, set up towards a vendor that takes everything."""

    @abstractmethod
    def received(self) -> Sequence[Received]:
        """What the vendor truly took so far."""

    def key_told(self, outgoing: Outgoing) -> str:
        """Our key as the vendor is told it; its own form of it, where it takes none as it is."""
        return outgoing.key

    def setup_method(self) -> None:
        self._former = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        self._host: ImageHost | None = None

    def teardown_method(self) -> None:
        if self._host is not None:
            self._host.__exit__(None, None, None)
        for name, value in self._former.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    def use(self, act: Callable[[Provider], Any], make: Callable[[Http], Provider] | None = None) -> Any:
        """Open the provider, let `act` use it, and close it."""
        http = Http(inside=("127.0.0.1",))  # where the images of its messages lie
        provider = (make or self.make)(http)
        try:
            return act(provider)
        finally:
            provider.close()
            http.close()

    @property
    def host(self) -> ImageHost:
        """Where the images lie that are handed over as bytes."""
        if self._host is None:
            self._host = ImageHost().__enter__()
        return self._host

    def outgoing(self, **changes: Any) -> Outgoing:
        """A message that asks for everything this provider promises, and nothing more."""
        can = self.use(lambda provider: provider.capabilities)
        text = "Ana, your records are here. Grüße, Example Records"
        content: Content = TextContent(text=text)
        if can.images:
            image = f"{self.host.url}/new.png" if can.image_limits else "https://shop.example/new.jpg"
            content = TextContent(text=text, image=image, image_alt="A record, and a cup of tea – 5 €")
        if can.channel is Channel.EMAIL:
            content = EmailContent(
                subject="Grüße: 5 % off, only today",
                text="Hello Ana\n.\n..and a line = with signs\n",
                html="<p>Hello <b>Ana</b> &amp; all</p>" if can.html else None,
                headers={"List-Unsubscribe": "<https://shop.example/u/abc>"} if can.headers else {},
            )
        message = Outgoing(
            key=KEY,
            channel=can.channel,
            message_class=MessageClass.COMMERCIAL,
            campaign="win-back",
            to=TO[can.channel] if can.direct else None,
            sender=FROM[can.channel],
            content=content,
            at=NOW,
            valid_for=timedelta(hours=1),
            callback_url="https://shop.example/v1/webhooks/vendor",
        )
        return replace(message, **changes)

    def send(self, outgoing: Outgoing, *, within: float = 10.0) -> Outcome:
        """One hand-over by a provider opened for it."""
        outcome: Outcome = self.use(lambda provider: provider.send(outgoing, deadline=time.monotonic() + within))
        self.assert_discreet(outcome, outgoing)
        return outcome

    def assert_discreet(self, outcome: Outcome, outgoing: Outgoing) -> None:
        """An outcome goes into logs and reports: no address and no secret may be in it."""
        shown = repr(outcome)
        for word in (outgoing.to or "", *self.environment.values()):
            assert not word or word.lower() not in shown.lower(), (
                f"{type(outcome).__name__} tells an address or a secret"
            )

    def test_a_message_arrives_as_it_was(self) -> None:
        """Accepted means that the vendor has this message, with its key, its recipient and its content unchanged."""
        outgoing = self.outgoing()
        assert isinstance(self.send(outgoing), Accepted)
        (taken,) = self.received()
        assert taken.to == outgoing.to
        assert taken.key in (self.key_told(outgoing), None)
        if isinstance(outgoing.content, EmailContent):
            assert (taken.subject, lines(taken.text)) == (outgoing.content.subject, lines(outgoing.content.text))
        else:
            assert outgoing.content.text in taken.text
            uploaded = self.use(lambda provider: provider.capabilities.image_limits) is not None
            assert taken.image == (None if uploaded else outgoing.content.image)
            assert taken.image_data == (png() if uploaded else b"")
            assert taken.image_alt == outgoing.content.image_alt

    def test_what_is_promised_is_visible(self) -> None:
        """A capability is no word in a table: what it claims is found in what the vendor got."""
        can, outgoing = self.use(lambda provider: provider.capabilities), self.outgoing()
        assert isinstance(self.send(outgoing), Accepted)
        (taken,) = self.received()
        if can.idempotency_window is not None or can.echoes_key:
            assert taken.key == self.key_told(outgoing)
        if can.html and isinstance(outgoing.content, EmailContent):
            assert lines(taken.html or "") == lines(outgoing.content.html or "")
        if can.headers and isinstance(outgoing.content, EmailContent):
            lower = {name.lower(): value for name, value in taken.headers.items()}
            assert all(lower.get(name.lower()) == value for name, value in outgoing.content.headers.items())
        if can.templates:
            approved = ApprovedTemplate(name="HXb5b62575e6e4ff6129ad7c8efe1f983e", variables={"1": "Ana", "2": "ü, 5"})
            content = TextContent(text="Hello Ana", template=approved)
            assert isinstance(self.send(self.outgoing(content=content, key="0a1b2c3d-44")), Accepted)
            last = self.received()[-1]
            assert (last.template, dict(last.variables)) == (approved.name, approved.variables)
        if can.posts:
            assert isinstance(self.send(self.outgoing(to=None, key="0a1b2c3d-43")), Accepted)
            assert self.received()[-1].to is None

    def test_what_is_not_promised_is_refused(self) -> None:
        """Whatever a provider cannot do raises ProviderError before anything reaches the vendor."""
        can, outgoing = self.use(lambda provider: provider.capabilities), self.outgoing()
        other = Channel.SMS if can.channel is Channel.EMAIL else Channel.EMAIL
        letter = EmailContent(subject="s", text="t")
        asked: list[tuple[bool, dict[str, Any]]] = [
            (True, {"channel": other}),
            (not can.posts, {"to": None}),
            (not can.direct, {"to": TO[can.channel]}),
            (not can.templates, {"content": TextContent(text="t", template=ApprovedTemplate(name="x"))}),
        ]
        if can.longest_text is not None:
            asked.append((True, {"content": replace(outgoing.content, text="x" * (can.longest_text + 1))}))
            self._refuse(replace(outgoing, content=replace(outgoing.content, text="x" * can.longest_text)))
        if can.channel is not Channel.EMAIL:
            asked.append((not can.images, {"content": TextContent(text="t", image="https://shop.example/new.jpg")}))
            asked.append((not can.text_alone, {"content": TextContent(text="t")}))
        asked.append((True, {"content": TextContent(text="t") if can.channel is Channel.EMAIL else letter}))
        if can.channel is Channel.EMAIL:
            asked.append((not can.html, {"content": replace(letter, html="<p>t</p>")}))
            asked.append((not can.headers, {"content": replace(letter, headers={"List-Unsubscribe": "<https://x>"})}))
        for wrong, changes in asked:
            if wrong:
                assert raises(ProviderError, self._refuse, replace(outgoing, **changes)), changes
        self._refuse(outgoing)
        assert not self.received()

    def _refuse(self, outgoing: Outgoing) -> None:
        self.use(lambda provider: refuse_what_is_not_promised(provider, outgoing))

    def test_many_at_once_are_told_apart(self) -> None:
        """Messages handed over together end once each, and each recipient gets what was meant for them."""
        batch = self.batch()
        ended = self.send_many(batch)
        assert all(isinstance(outcome, Accepted) for outcome in ended.values())
        taken = {lines(received.text)[0]: received for received in self.received()}
        assert len(taken) == len(batch) == len(self.received())
        for outgoing in batch:
            received = next(taken[first] for first in taken if first.endswith(lines(outgoing.content.text)[0]))
            assert received.to == outgoing.to and received.key in (self.key_told(outgoing), None)

    def batch(self, first: int = 0) -> list[Outgoing]:
        """As many messages as the provider takes at once, at most a dozen, each with its own recipient and words."""
        count = min(12, self.use(lambda provider: provider.batch_limit))
        return [self._another(number) for number in range(first, first + count)]

    def send_many(self, batch: Sequence[Outgoing], *, within: float = 20.0) -> dict[str, Outcome]:
        """How each message of a batch ended, by its key, once every one of them was told once."""
        ended: list[tuple[Outgoing, Outcome]] = self.use(
            lambda provider: [each for each in provider.send_many(batch, deadline=time.monotonic() + within) if each]
        )
        assert sorted(outgoing.key for outgoing, _ in ended) == sorted(outgoing.key for outgoing in batch)
        for outgoing, outcome in ended:
            self.assert_discreet(outcome, outgoing)
        return {outgoing.key: outcome for outgoing, outcome in ended}

    def _another(self, number: int) -> Outgoing:
        outgoing = self.outgoing()
        return replace(
            outgoing,
            key=f"0a1b2c3d-{number + 100}",
            to=OTHERS[outgoing.channel].format(number) if outgoing.to else None,
            content=replace(outgoing.content, text=f"Number {number:03} for Ana\nand the rest is the same"),
        )

    def test_a_second_hand_over_is_the_same_message(self) -> None:
        """With a key that the vendor remembers, the second hand-over adds nothing; else it is at least the same again."""
        can, outgoing = self.use(lambda provider: provider.capabilities), self.outgoing()
        first, second = self.send(outgoing), self.send(outgoing)
        assert isinstance(first, Accepted) and isinstance(second, Accepted)
        if can.idempotency_window is not None:
            assert len(self.received()) == 1
            assert first == second
        else:
            one, two = (replace(taken, provider_message_id="", request=None) for taken in self.received())
            assert one == two

    def test_nothing_leaves_after_the_deadline(self) -> None:
        """A sender that slept through its lease hands nothing over: no time left is NotSent, and the vendor saw nothing."""
        assert isinstance(self.send(self.outgoing(), within=-1), NotSent)
        assert not self.received()

    def test_a_missing_secret_is_a_set_up_error(self) -> None:
        """Without its secrets a provider can be made, sends nothing, and names the variable that is missing."""
        for name in self.environment:
            os.environ.pop(name)
        outcome = self.send(self.outgoing())
        assert isinstance(outcome, NotSent) if self.environment else isinstance(outcome, Accepted)
        if isinstance(outcome, NotSent):
            assert any(name in outcome.detail for name in self.environment)

    def test_logs_tell_neither_address_nor_secret(self) -> None:
        """Whatever a provider and the libraries under it log, at any level, no recipient and no secret is in it."""
        outgoing = self.outgoing()
        with self.listening(outgoing):
            self.send(outgoing)
            self.send(replace(outgoing, key="0a1b2c3d-9"), within=-1)

    @contextmanager
    def listening(self, *outgoing: Outgoing) -> Iterator[None]:
        """Hear all that is logged meanwhile; none of it may tell a secret, or to whom these messages go."""
        kept, root = _Kept(), logging.getLogger()
        former = root.level
        root.addHandler(kept)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.setLevel(former)
            root.removeHandler(kept)
        words = {*(one.to for one in outgoing if one.to), *self.environment.values()}
        for name, line in kept.lines:
            if not name.startswith(self.vendor_loggers or ("\0",)):
                assert not any(word in line for word in words), f"the logger {name} tells an address or a secret"

    def test_no_text_makes_it_raise_or_stray(self) -> None:
        """Whatever stands in content, sender or address: `send` returns an outcome, and nobody else gets the message."""
        outgoing = self.outgoing()
        for text in NASTY:
            content: Content = TextContent(text=text)
            if isinstance(outgoing.content, EmailContent):
                content = replace(outgoing.content, subject=text, text=text, html=text or None)
            for changed in (replace(outgoing, content=content), replace(outgoing, sender=text)):
                assert isinstance(self.send(changed), Accepted | Rejected | NotSent | Ambiguous)
        assert all(taken.to == outgoing.to for taken in self.received())
        for text in NASTY:
            assert isinstance(self.send(replace(outgoing, to=text)), Accepted | Rejected | NotSent | Ambiguous)
        assert not {"bcc", "cc"} & {name.lower() for taken in self.received() for name in taken.headers}

    def test_what_it_claims_it_has_and_is_tested(self) -> None:
        """Webhooks, look-ups and inboxes that are promised are the provider's own, and the first two have their part of this suite."""
        can, kind = self.use(lambda provider: (provider.capabilities, type(provider)))
        parts = {base.__name__ for base in type(self).__mro__}
        for promised, name, part in (
            (can.webhooks, "parse_events", "WebhookContract"),
            (can.settle_time is not None, "look_up", "LookUpContract"),
            (can.inboxes, "inboxes", None),
        ):
            if promised:
                assert getattr(kind, name) is not getattr(Provider, name), f"it promises what only `{name}` can do"
                assert part is None or part in parts, f"let {type(self).__name__} be a {part}, too"

    def test_what_cannot_be_asked_is_not_asked(self) -> None:
        """A vendor without a settle time cannot be asked what it has: to ask all the same proves nothing, and sends nothing."""
        outgoing = self.outgoing()
        if self.use(lambda provider: provider.capabilities.settle_time) is None:
            finding = self.use(lambda provider: provider.look_up(outgoing, deadline=time.monotonic() + 10))
            assert isinstance(finding, Ambiguous)
        assert not self.received()

    def test_without_webhooks_it_believes_none(self) -> None:
        """A provider that promises no webhooks refuses every one."""
        if not self.use(lambda provider: provider.capabilities.webhooks):
            webhook = Webhook(method="POST", url="https://shop.example/v1/webhooks/x", headers={}, body=b"[]")
            assert raises(ForgedWebhook, self.parse, webhook, NOW)

    def parse(self, webhook: Webhook, now: datetime) -> Sequence[ProviderEvent]:
        """The events in a webhook, by a provider opened for it."""
        return self.parse_all([webhook], now)

    def parse_all(self, webhooks: Sequence[Webhook], now: datetime) -> Sequence[ProviderEvent]:
        """The events in webhooks, one after the other, by one provider opened for them."""
        events: Sequence[ProviderEvent] = self.use(
            lambda provider: [event for webhook in webhooks for event in provider.parse_events(webhook, now=now)]
        )
        return events


class _Kept(logging.Handler):
    """Keeps what is logged, by logger."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.name, record.getMessage()))


def raises(kind: type[Exception], act: Callable[..., Any], *arguments: Any) -> bool:
    """Whether the call ends in this error."""
    try:
        act(*arguments)
    except kind:
        return True
    return False


def lines(text: str) -> list[str]:
    """Text by lines: the newline's own form, and one at the end, are the medium's."""
    return text.rstrip("\r\n").splitlines()

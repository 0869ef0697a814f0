"""The contract of providers with webhooks: every word known, repeats recognised, forgeries refused."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar

from engine.errors import ForgedWebhook
from engine.model import EventName
from engine.provider import Webhook
from engine.testing.contract import KEY, NOW, ProviderContract, raises


class WebhookContract(ProviderContract):
    """What holds for every provider with webhooks.

    words: each word of the vendor, and our event for it. signature_headers: what carries the signature.
    signs_body: whether it signs what it says; else the headers only show a secret. signs_url, signs_time: whether the URL,
    and the time of signing, are part of what is signed.
    """

    words: ClassVar[Mapping[str, EventName]]
    signature_headers: ClassVar[tuple[str, ...]]
    signs_body = True
    signs_url = False
    signs_time = False

    @abstractmethod
    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        """The vendor's own, rightly signed webhook that says `word` about the message with this key."""

    def test_every_word_of_the_vendor_is_known(self) -> None:
        """Each word maps to its event; a word never heard before is kept as `other`, not refused. Where one cannot be kept,
        making it raises ProviderError, which names the field.
        """
        for word, name in {**self.words, "a_word_of_tomorrow": EventName.OTHER}.items():
            events = self.parse(self.report(word, key=KEY, now=NOW), NOW)
            assert [event.name for event in events] == [name], word

    def test_our_key_comes_back(self) -> None:
        """A provider that promises to echo our key gives it with every event about a message sent by us."""
        if self.use(lambda provider: provider.capabilities.echoes_key):
            for word, name in self.words.items():
                if name not in (EventName.REPLIED, EventName.OTHER):
                    (event,) = self.parse(self.report(word, key=KEY, now=NOW), NOW)
                    assert event.message_key == KEY, word

    def test_the_same_report_twice_is_the_same(self) -> None:
        """A repeated webhook has the same dedupe text, whenever it comes; another report has another."""
        seen: dict[str, str] = {}
        for word in self.words:
            webhook = self.report(word, key=KEY, now=NOW)
            (first,), (second,) = self.parse(webhook, NOW), self.parse(webhook, NOW + timedelta(seconds=30))
            assert first.dedupe == second.dedupe
            assert seen.setdefault(first.dedupe, word) == word
        assert len(seen) == len(self.words)

    def test_order_and_repetition_change_nothing(self) -> None:
        """However often and in whatever order the vendor's reports come, they are the same reports: nothing is remembered."""
        webhooks = [self.report(word, key=KEY, now=NOW) for word in self.words]
        orders = (webhooks, webhooks[::-1], webhooks[::2] + webhooks + webhooks[1::2])

        heard = [{(one.dedupe, one.name, one.message_key) for one in self.parse_all(order, NOW)} for order in orders]
        assert heard[0] == heard[1] == heard[2] and len(heard[0]) == len(self.words)

    def test_a_forged_webhook_is_refused_whole(self) -> None:
        """One changed byte, a missing, cut or foreign signature: ForgedWebhook, and not one event."""
        genuine = self.report(next(iter(self.words)), key=KEY, now=NOW)
        assert self.parse(genuine, NOW)
        for webhook in self._forgeries(genuine):
            assert raises(ForgedWebhook, self.parse, webhook, NOW), webhook

    def _forgeries(self, genuine: Webhook) -> list[Webhook]:
        forged = self._changed(genuine) if self.signs_body else []
        if self.signs_url:
            forged += [
                replace(genuine, url=genuine.url + "9"),
                replace(genuine, url=genuine.url.replace("https:", "http:")),
            ]
        for name in self.signature_headers:
            value = genuine.headers[name]
            others = (
                "",
                value[:-5],
                value[:3] + ("A" if value[3] != "A" else "B") + value[4:],
                "é" + value,
                value + "=",
            )
            forged += [replace(genuine, headers={**genuine.headers, name: other}) for other in others]
            forged.append(replace(genuine, headers={n: v for n, v in genuine.headers.items() if n != name}))
        return forged

    def _changed(self, genuine: Webhook) -> list[Webhook]:
        body = genuine.body
        bodies = [body[:-1], body + b"&x=1", b""]
        for place in {0, 1, len(body) // 3, len(body) // 2, len(body) - 1}:
            bodies.append(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        return [replace(genuine, body=other) for other in bodies]

    def test_an_old_signature_is_refused(self) -> None:
        """Where the signature tells its time, one that is older than the tolerance, or from the future, proves nothing."""
        webhook = self.report(next(iter(self.words)), key=KEY, now=NOW)
        for drift in (timedelta(hours=1), timedelta(hours=-1)):
            assert raises(ForgedWebhook, self.parse, webhook, NOW + drift) is self.signs_time

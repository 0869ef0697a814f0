"""The contract itself: a sound provider passes it, and each flaw is caught by the test that is there for it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
import requests

from engine.errors import NoPlainAnswer, SecretMissing
from engine.model import Channel
from engine.provider import (
    Accepted,
    Ambiguous,
    Answer,
    Capabilities,
    Finding,
    Http,
    NotFound,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    ProviderSettings,
    Secret,
    SecretRef,
    Webhook,
    outcome_of_status,
    storable,
)
from engine.testing.http_contract import HttpContract
from engine.testing.look_up_contract import LookUpContract
from engine.testing.vendors.server import HttpVendor, Received, Reply, Request

FOREVER = timedelta(days=1)


class SoundVendor(HttpVendor):
    """As small as a vendor can be."""

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if request.method == "GET":
            found = [one.provider_message_id for one in self.told() if one.key == request.query["key"]]
            return Reply(status=200, body={"found": found}), None
        sent = request.json()
        if request.headers.get("authorization") != "Bearer canary-token":
            return Reply(status=401), None
        number = str(len(self.accepted))
        received = Received(
            key=sent.get("key"), to=sent["to"], text=sent["text"], provider_message_id=number, at=self.clock()
        )
        return Reply(status=200, body={"id": number}), received


class SoundSettings(ProviderSettings):
    url: str
    token: SecretRef = Secret("T_SOUND_TOKEN")


class Sound(Provider):
    """As small as a provider can be."""

    Settings = SoundSettings
    capabilities = Capabilities(channel=Channel.SMS, echoes_key=True)

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        try:
            headers = {"Authorization": f"Bearer {self.settings.token.reveal()}"}
        except SecretMissing as error:
            return NotSent(code="set_up", detail=error.what)
        body = json.dumps({"key": outgoing.key, "to": storable(outgoing.to), "text": storable(outgoing.content.text)})
        answer = self.http.call("POST", self.settings.url, deadline=deadline, headers=headers, body=body.encode())
        if not isinstance(answer, Answer):
            return answer
        if answer.good:
            return Accepted(provider_message_id=answer.fields().get("id"))
        return outcome_of_status(answer, detail=self.words(answer.text, outgoing))


class TestSound(HttpContract):
    """A sound provider of thirty lines passes."""

    environment: ClassVar[dict[str, str]] = {"T_SOUND_TOKEN": "canary-token"}
    flawed: ClassVar[type[Provider]] = Sound

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with SoundVendor() as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        return self.flawed(SoundSettings(url=url), http=http)


class Asked(Sound):
    """The same, for a vendor that can be asked."""

    capabilities = Capabilities(channel=Channel.SMS, settle_time=timedelta(minutes=2))

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        try:
            self.settings.token.reveal()
            told = self.http.ask("GET", self.settings.url, deadline=deadline, query={"key": outgoing.key})
        except SecretMissing as error:
            return Ambiguous(code="set_up", detail=error.what)
        except NoPlainAnswer as error:
            return Ambiguous(code=error.what)
        if not isinstance(told, dict) or not isinstance(told.get("found"), list):
            return Ambiguous(code="unreadable")
        return Accepted(provider_message_id=told["found"][0]) if told["found"] else NotFound()


class TestAsked(LookUpContract):
    """A sound provider of a vendor that can be asked passes."""

    environment = TestSound.environment
    flawed: ClassVar[type[Provider]] = Asked

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with SoundVendor() as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        return self.flawed(SoundSettings(url=url), http=http)


class Hasty(Sound):
    """Takes doubt for a failure: its messages arrive twice."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        outcome = super().send(outgoing, deadline=deadline)
        return NotSent(code=outcome.code) if isinstance(outcome, Ambiguous) else outcome


class Pedantic(Sound):
    """Takes an unreadable yes for doubt."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        outcome = super().send(outgoing, deadline=deadline)
        return Ambiguous(code="?") if outcome == Accepted() else outcome


class Credulous(Sound):
    """Takes every answer for a yes."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        outcome = super().send(outgoing, deadline=deadline)
        return outcome if isinstance(outcome, NotSent) else Accepted(provider_message_id="0")


class Talkative(Sound):
    """Repeats what the vendor said."""

    def words(self, text: object, outgoing: Outgoing) -> str:
        return str(text)


class Logging(Sound):
    """Logs whom it writes to."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        import logging

        logging.getLogger("chatty").debug("sending to %s", outgoing.to)
        return super().send(outgoing, deadline=deadline)


class Anonymous(Sound):
    """Promises to echo the key and does not send it."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        return super().send(replace(outgoing, key="another"), deadline=deadline)


class Splitting(Sound):
    """Takes for granted that the vendor's answer holds texts."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        outcome = super().send(outgoing, deadline=deadline)
        number = getattr(outcome, "provider_message_id", None)
        if number is not None and int(number) >= 1000:
            raise AttributeError("'int' object has no attribute 'split'")
        return outcome


class Boastful(Sound):
    """Promises a key that the vendor does not remember."""

    capabilities = Capabilities(channel=Channel.SMS, idempotency_window=FOREVER)


class Forgetful(Sound):
    """Does not tell how the last of many ended."""

    def send_many(self, batch: Sequence[Outgoing], *, deadline: float) -> Iterator[tuple[Outgoing, Outcome] | None]:
        list(super().send_many(batch, deadline=deadline))
        yield from ((outgoing, Accepted()) for outgoing in batch[:-1])


class Mixing(Sound):
    """Sends the first one's words to everybody."""

    def send_many(self, batch: Sequence[Outgoing], *, deadline: float) -> Iterator[tuple[Outgoing, Outcome] | None]:
        for outgoing in batch:
            yield outgoing, self.send(replace(outgoing, content=batch[0].content), deadline=deadline)


class Optimist(Sound):
    """Takes the silence about many for a yes."""

    def send_many(self, batch: Sequence[Outgoing], *, deadline: float) -> Iterator[tuple[Outgoing, Outcome] | None]:
        list(super().send_many(batch, deadline=deadline))
        yield from ((outgoing, Accepted()) for outgoing in batch)


class Sleepy(Sound):
    """Sends after its time is up."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        return super().send(outgoing, deadline=deadline + 5)


class Nervous(Sound):
    """Raises."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        assert isinstance(outgoing.content.text, str)
        outgoing.content.text.encode()
        return super().send(outgoing, deadline=deadline)


class Gullible(Sound):
    """Takes a webhook that nobody signed."""

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        return []


class Follower(Sound):
    """Follows a redirect."""

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        headers = {"Authorization": f"Bearer {os.environ['T_SOUND_TOKEN']}"}
        text = outgoing.content.text
        answer = requests.post(self.settings.url, json={"to": outgoing.to, "text": text}, headers=headers, timeout=5)
        return Accepted() if answer.ok else NotSent(code="x")


class Sure(Asked):
    """Takes a missing answer for a missing message: what arrived is sent again."""

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        finding = super().look_up(outgoing, deadline=deadline)
        return NotFound() if isinstance(finding, Ambiguous) else finding


class Hopeful(Asked):
    """Takes every answer for a yes: what never arrived is lost."""

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        finding = super().look_up(outgoing, deadline=deadline)
        return Accepted() if isinstance(finding, NotFound) else finding


class Repeating(Asked):
    """Asks by sending once more."""

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        self.send(outgoing, deadline=deadline)
        return super().look_up(outgoing, deadline=deadline)


class Asking(Sound):
    """Asks though it says that it cannot."""

    def look_up(self, outgoing: Outgoing, *, deadline: float) -> Finding:
        self.send(outgoing, deadline=deadline)
        return Ambiguous(code="?")


class CalledIn(Sound):
    """Promises webhooks, and reads none."""

    capabilities = replace(Sound.capabilities, webhooks=True)


class Fetching(Sound):
    """Promises inboxes, and has none."""

    capabilities = replace(Sound.capabilities, inboxes=True)


class Unasked(Sound):
    """Promises to be asked, and cannot be."""

    capabilities = replace(Sound.capabilities, settle_time=timedelta(minutes=2))


class Untested(Asked):
    """Can be asked, which nobody tests: the flaw is in the contract's bases."""


FLAWS: dict[type[Sound], str] = {
    CalledIn: "test_what_it_claims_it_has_and_is_tested",
    Fetching: "test_what_it_claims_it_has_and_is_tested",
    Unasked: "test_what_it_claims_it_has_and_is_tested",
    Untested: "test_what_it_claims_it_has_and_is_tested",
    Hasty: "test_silence_is_doubt",
    Pedantic: "test_an_unreadable_yes_is_a_yes",
    Credulous: "test_each_status_has_one_meaning",
    Talkative: "test_each_status_has_one_meaning",
    Logging: "test_logs_tell_neither_address_nor_secret",
    Anonymous: "test_what_is_promised_is_visible",
    Splitting: "test_a_vendor_may_count",
    Boastful: "test_a_second_hand_over_is_the_same_message",
    Forgetful: "test_many_at_once_are_told_apart",
    Mixing: "test_many_at_once_are_told_apart",
    Optimist: "test_doubt_about_some_is_not_lost_among_many",
    Sleepy: "test_nothing_leaves_after_the_deadline",
    Nervous: "test_no_text_makes_it_raise_or_stray",
    Gullible: "test_without_webhooks_it_believes_none",
    Follower: "test_redirects_are_not_followed",
    Asking: "test_what_cannot_be_asked_is_not_asked",
    Sure: "test_a_question_without_an_answer_proves_nothing",
    Hopeful: "test_anothers_message_is_not_mistaken_for_it",
    Repeating: "test_what_was_taken_is_found",
}


@pytest.mark.parametrize(("flaw", "test"), FLAWS.items(), ids=lambda value: getattr(value, "__name__", value))
def test_each_flaw_is_caught(flaw: type[Sound], test: str) -> None:
    """A provider with one flaw fails the contract."""
    contract: Any = TestAsked() if issubclass(flaw, Asked) and flaw is not Untested else TestSound()
    contract.flawed = flaw
    contract.setup_method()
    try:
        with SoundVendor() as contract.vendor, pytest.raises((AssertionError, AttributeError, UnicodeEncodeError)):
            getattr(contract, test)()
    finally:
        contract.teardown_method()


class ClumsyVendor(SoundVendor):
    """A stand-in that expects what the provider does not send."""

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        request.headers["idempotency-key"]
        return super().take(request)


def test_a_stand_in_that_raises_is_named() -> None:
    """Not as a connection that closed, but in its own words; in a contract's test, and outside of one when it ends."""
    contract: Any = TestSound()
    contract.setup_method()
    words = r"your stand-in raised KeyError\('idempotency-key'\)"
    try:
        with ClumsyVendor() as contract.vendor, pytest.raises(AssertionError, match=words):
            contract.test_a_message_arrives_as_it_was()
    finally:
        contract.teardown_method()
    with pytest.raises(AssertionError, match=words), ClumsyVendor() as vendor, pytest.raises(requests.ConnectionError):
        requests.post(vendor.url, json={}, timeout=5)

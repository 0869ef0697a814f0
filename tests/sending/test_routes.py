"""Routes: who carries a message is told by config.yaml, the same whenever it is asked, and never another one in doubt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import ProviderError, WorkspaceError
from engine.ledger.hand_over import Held
from engine.model import Channel, Claim, Message, MessageClass, Reason
from engine.provider import NotSent
from engine.questions.check import check
from engine.routing import Hop, Route
from engine.sending.breaker import FIRST_PAUSE, Breakers
from engine.sending.routes import in_order, pick
from engine.settings import Settings, load_settings

HEAD = {"workspace": "shop", "time_zone": "Europe/Helsinki", "secret": "${env:REGULARS_SECRET}"}
NUMBER = "+358401234567"


def settings(route: object, channel: str = "sms") -> Settings:
    return Settings.model_validate({**HEAD, "channels": {channel: {"commercial": route}}})


def message(number: int = 1, *, now: datetime, attempts: int = 0, channel: Channel = Channel.SMS) -> Message:
    return Message(
        id=number, claim=Claim(message_id=number, epoch=1, owner="", lease_until=now), run_id=1, campaign="news", step="main",
        customer_id=1, channel=channel, attempts=attempts, owed_at=now, not_after=None, first_sent_at=None,
        possible_duplicate=False,
    )  # fmt: skip


def chosen(
    config: Settings, one: Message, now: datetime, to: str = NUMBER, breakers: Breakers | None = None
) -> Hop | Held:
    return pick(config, breakers or Breakers(), one, MessageClass.COMMERCIAL, to, now)


def test_one_provider_is_a_route(now: datetime) -> None:
    """The short form, as ever."""
    config = settings({"provider": "twilio", "from": "+15005550006"})
    assert chosen(config, message(now=now), now) == Hop(provider="twilio", sender="+15005550006")


def test_the_next_in_order_has_its_turn_after_two_attempts_that_failed(now: datetime) -> None:
    """Twilio twice, Vonage twice, and around: each with its own From, or the route's."""
    config = settings({"providers": ["twilio", {"provider": "vonage", "from": "Shop"}], "from": "+15005550006"})
    told = [chosen(config, message(now=now, attempts=n), now) for n in range(6)]
    one, two = Hop(provider="twilio", sender="+15005550006"), Hop(provider="vonage", sender="Shop")
    assert told == [one, one, two, two, one, one]


def test_a_provider_that_is_down_is_passed_over_and_where_all_are_the_message_waits(now: datetime) -> None:
    """For the first that may be tried again."""
    config, breakers = settings({"providers": ["twilio", "vonage"], "from": "x"}), Breakers()
    breakers.heard("twilio", [NotSent(code="not_connected")] * 5, now)
    told = chosen(config, message(now=now), now, breakers=breakers)
    assert isinstance(told, Hop) and told.provider == "vonage"
    breakers.heard("vonage", [NotSent(code="set_up")] * 5, now + timedelta(seconds=1))
    waits = chosen(config, message(now=now), now + timedelta(seconds=1), breakers=breakers)
    assert isinstance(waits, Held)
    assert (waits.until, waits.reason) == (now + FIRST_PAUSE, Reason.PROVIDER_DOWN)


def test_in_doubt_it_stays_with_its_provider_whatever_happens(now: datetime) -> None:
    """Though its turn is over, though it is in the route no more, though its breaker is open."""
    config, breakers = settings({"providers": ["twilio", "vonage"], "from": "x"}), Breakers()
    doubted = replace(message(now=now, attempts=3), doubt_since=now, provider="twilio")
    assert chosen(config, doubted, now) == Hop(provider="twilio", sender="x")
    assert chosen(settings({"provider": "vonage", "from": "x"}), doubted, now) == Hop(provider="twilio", sender="x")
    breakers.heard("twilio", [NotSent(code="set_up")] * 5, now)
    assert isinstance(chosen(config, doubted, now, breakers=breakers), Held)


def test_weights_share_the_messages_and_each_message_always_has_the_same_order() -> None:
    """Seven to three, within two in a hundred; asked again, the same; and without one of them the others' order is the same."""
    hops = [Hop(provider=name, sender="x", weight=weight) for name, weight in (("a", 60), ("b", 30), ("c", 10))]
    orders = {n: [hop.provider for hop in in_order(hops, n)] for n in range(10_000)}
    shares = Counter(order[0] for order in orders.values())
    assert [round(shares[name] / 10_000, 2) for name in "abc"] == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert orders == {n: [hop.provider for hop in in_order([*reversed(hops)], n)] for n in range(10_000)}
    without = {n: [hop.provider for hop in in_order(hops[1:], n)] for n in range(10_000)}
    assert without == {n: [name for name in order if name != "a"] for n, order in orders.items()}
    seconds = Counter(order[1] for order in orders.values() if order[0] == "a")
    assert seconds["b"] / seconds.total() == pytest.approx(0.75, abs=0.02)


def test_countries_have_routes_of_their_own(now: datetime) -> None:
    """By the number's own country, also where several share a code; the first part that fits counts."""
    route = {
        "provider": "twilio",
        "from": "+15005550006",
        "for": [
            {"countries": ["FI", "SE"], "provider": "vonage", "from": "Shop"},
            {"countries": ["CA"], "providers": ["vonage", "twilio"]},
        ],
    }
    config = settings(route)
    for number, name, sender in (
        (NUMBER, "vonage", "Shop"),
        ("+14165550123", "vonage", "+15005550006"),
        ("+12125550123", "twilio", "+15005550006"),
        ("+447400123456", "twilio", "+15005550006"),
    ):
        assert chosen(config, message(now=now), now, to=number) == Hop(provider=name, sender=sender)
    whatsapp = chosen(settings(route, "whatsapp"), message(now=now, channel=Channel.WHATSAPP), now)
    assert whatsapp == Hop(provider="vonage", sender="Shop")


def test_mailbox_providers_have_routes_of_their_own(now: datetime) -> None:
    """By the domain of the address, whatever its capitals."""
    route = {"provider": "relay", "from": "a@shop.example", "for": [{"domains": ["Gmail.com"], "provider": "ses"}]}
    config, letter = settings(route, "email"), message(now=now, channel=Channel.EMAIL)
    for address, name in (
        ("x@gmail.com", "ses"),
        ("x@GMAIL.com", "ses"),
        ("x@notgmail.com", "relay"),
        ("gmail.com@x.example", "relay"),
    ):
        told = chosen(config, letter, now, to=address)
        assert isinstance(told, Hop) and told.provider == name


def test_a_missing_route_is_refused_in_words(now: datetime) -> None:
    """With the place in config.yaml."""
    with pytest.raises(ProviderError, match=r"channels\.email: no provider carries commercial email"):
        chosen(settings({"provider": "twilio", "from": "x"}), message(now=now, channel=Channel.EMAIL), now)


# ---------------------------------------------------------------- what is wrong is said with its line


def told(folder: Path, channels: str, providers: str = "") -> list[str]:
    lines = [
        "workspace: shop",
        "time_zone: Europe/Helsinki",
        "secret: ${env:REGULARS_SECRET}",
        "postal_address: Street 1",
        "providers:",
        "  one: {use: console, channel: sms}",
        "  two: {use: console, channel: sms}",
        *providers.splitlines(),
        "channels:",
        *channels.splitlines(),
    ]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [str(problem) for problem in check(folder) if "used by no campaign" not in problem.what]


@pytest.mark.parametrize(
    ("route", "what"),
    [
        ("{from: x}", "a route names `provider`, or `providers`"),
        ("{provider: one, providers: [two], from: x}", "a route names `provider`, or `providers`"),
        ("{providers: [{provider: one, weight: 2}, two], from: x}", "either all of `providers` have a weight, or none"),
        ("{providers: [one, tow], from: x}", 'there is no provider "tow". Did you mean "two"?'),
        ("{provider: one, from: x, for: [{countries: [FI], provider: tow}]}", 'there is no provider "tow"'),
        ("{provider: one, from: x, for: [{provider: two}]}", "names either `countries` or `domains`"),
        ("{provider: one, from: x, for: [{countries: [Finland], provider: two}]}", "a country has two capital letters"),
        ("{provider: one, from: x, for: [{domains: [gmail.com], provider: two}]}", "a route for domains is for email"),
        ("{provider: one, from: x, for: [{countries: [FI], provider: two}, {countries: [FI], provider: one}]}", "leads nowhere"),
        ("{providers: [one, two, one], from: x}", '"one" stands here twice'),
    ],
)  # fmt: skip
def test_a_route_that_leads_nowhere_is_told_at_its_place(tmp_path: Path, route: str, what: str) -> None:
    """The line of config.yaml, what is wrong, and what to do."""
    problems = told(tmp_path, f"  sms:\n    commercial: {route}")
    assert any(what in problem and problem.startswith("config.yaml:") for problem in problems), problems


def test_a_provider_that_only_a_branch_names_is_used(tmp_path: Path) -> None:
    """`check` does not call it idle, and asks whether it carries the channel."""
    branch = "  sms:\n    commercial: {provider: one, from: x, for: [{countries: [FI], provider: two}]}"
    assert told(tmp_path, branch) == []
    wrong = told(tmp_path, branch.replace("two}", "mail}"), "  mail: {use: file, folder: x, channel: email}")
    assert any('the provider "mail" carries email, not sms' in problem for problem in wrong)


def test_limits_are_checked_where_they_stand(tmp_path: Path) -> None:
    """A rate that is none; a rate of domains on another channel; a sender that nobody is."""
    problems = told(
        tmp_path,
        "  sms:\n    domains: {gmail.com: 5/second}\n    commercial: {provider: one, from: '+15005550006'}\n"
        "senders:\n  shop.example: {rate: fast}\n",
        "  three: {use: console, channel: sms, rate: 5 a day}",
    )
    assert any('a rate is written "100/second"' in problem and ":14:" in problem for problem in problems), problems
    problems = told(
        tmp_path,
        "  sms:\n    domains: {gmail.com: 5/second}\n    commercial: {provider: one, from: '+15005550006'}\n"
        "senders:\n  shop.example: {rate: 5/second}\n  '+15005550006': {rate: 1/second}\n",
        "  three: {use: console, channel: sms, rate: 5 a day}",
    )
    assert sum('a rate is written "100/second"' in problem and ":8:" in problem for problem in problems) == 1
    assert sum("`domains` is for email" in problem for problem in problems) == 1
    assert sum('nothing is sent from "shop.example"' in problem for problem in problems) == 1
    assert not any('nothing is sent from "+15005550006"' in problem for problem in problems)


def test_a_warm_up_is_read(tmp_path: Path) -> None:
    """A first day and a number for each."""
    told(
        tmp_path,
        "  sms: {commercial: {provider: one, from: '+15005550006'}}\n"
        "senders: {'+15005550006': {warm_up: {from: 2026-12-01, days: [10, 20]}}}",
    )
    warm_up = load_settings(tmp_path).senders["+15005550006"].warm_up
    assert warm_up is not None
    first = warm_up.start
    assert [warm_up.cap(first + timedelta(days=n)) for n in (-3, 0, 1, 2)] == [10, 10, 20, None]


def test_a_warm_up_without_days_is_refused(tmp_path: Path) -> None:
    """Nothing to count by."""
    config = "  sms: {commercial: {provider: one, from: x}}\nsenders: {x: {warm_up: {from: 2026-12-01, days: []}}}"
    with pytest.raises(WorkspaceError):
        told(tmp_path, config)
        load_settings(tmp_path)


def test_the_places_of_a_route_are_where_its_providers_stand() -> None:
    """One for each, in the same order."""
    route = Route.model_validate(
        {
            "providers": ["a", {"provider": "b"}],
            "from": "x",
            "for": [{"countries": ["FI"], "provider": "c", "from": "y"}],
        }
    )
    assert [(path, hop.provider, hop.sender) for path, hop in route.places()] == [
        (("providers", 0, "provider"), "a", "x"),
        (("providers", 1, "provider"), "b", "x"),
        (("for", 0, "provider"), "c", "y"),
    ]

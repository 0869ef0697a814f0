"""What a plan says about words and money: it reads and counts every message, though it renders each wording once."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from sqlalchemy import select

from engine.addresses import UNKNOWN, country_of
from engine.content import sms
from engine.content.versions import TemplateVersion, read_template
from engine.errors import ContentError
from engine.model import Channel
from engine.provider import TextContent
from engine.questions.plan import Planned, plan
from engine.questions.plan.cost import cost_of
from engine.questions.plan.gates import Asked
from engine.questions.plan.needs import Needs, needs
from engine.questions.plan.writing import Writing
from engine.rules.campaign import Campaign
from engine.settings import Guards, Prices, Settings
from engine.store import Database
from engine.store.tables import customers
from tests.questions import crowd
from tests.questions.crowd import NOW
from tests.sending.shop import NEWS, Shop


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello", Needs(attributes=frozenset(), clock=False)),
        (
            "{{ customer.first_name }} {{ customer['city'] | upper }}",
            Needs(attributes=frozenset({"first_name", "city"}), clock=False),
        ),
        ("{% if customer.vip %}{{ links.unsubscribe }}{% endif %}", Needs(attributes=frozenset({"vip"}), clock=False)),
        ("{{ today }}", Needs(attributes=frozenset(), clock=True)),
        ("{{ customer.birthday | date }}", Needs(attributes=frozenset({"birthday"}), clock=True)),
        ("{{ customer.time_zone }}", Needs(attributes=frozenset({"time_zone"}), clock=True)),
        ("{% for name in customer %}{{ name }}{% endfor %}", Needs(attributes=None, clock=True)),
        ("{% set who = customer %}{{ who.first_name }}", Needs(attributes=None, clock=True)),
        ("{{ customer[data.which] }}", Needs(attributes=None, clock=True)),
        ("{{ customer.get('city') }}", Needs(attributes=None, clock=True)),
        ("{% include '_shop/foot.txt' %}", Needs(attributes=frozenset({"city"}), clock=False)),
    ],
)
def test_what_a_template_asks_of_a_customer(text: str, found: Needs) -> None:
    """Every way of asking is seen, in layouts too; where it cannot be seen, everything may be asked."""
    sources = {"t/sms.txt": text, "t/email.txt": "{{ customer.id }}"}
    if "include" in text:
        sources["_shop/foot.txt"] = "{{ customer.city }}"
    assert needs(TemplateVersion(name="t", hash="h", sources=sources), Channel.SMS) == found


TEXTS = (
    "Hi {{ customer.first_name | default('you') }}, {{ customer.age }}!",
    "{% if customer.vip %}Dear {{ customer.first_name }}{% else %}Hi{% endif %} {{ today }}",
    "{% for name, value in customer.items() %}{{ name }}={{ value }};{% endfor %}",
    "{{ customer.first_name }} {{ customer.seen | date }} {{ customer.tags | join(',') }}",
    "{{ customer.id }} {{ customer.created_at }} {{ customer.locale }}",
)
VALUES = (None, True, 1, 1.0, "1", "Ana", "Väinö 🎵", ["a"], ["a", "b"], 41, "2026-03-02T23:30:00+00:00", "")


@pytest.mark.parametrize("text", TEXTS)
def test_who_has_the_same_key_reads_the_same(text: str) -> None:
    """1, 1.0, true and "1" are not the same; nor is the same instant in two time zones where the clock is read."""
    chance = random.Random(text)
    settings = Settings.model_validate(
        {
            "workspace": "shop",
            "time_zone": "Europe/Helsinki",
            "secret": "${env:REGULARS_SECRET}",
            "attributes": dict.fromkeys(("first_name", "age", "vip", "seen", "tags"), "text"),
        }
    )
    campaign = Campaign.model_validate(
        {"campaign": "t", "channel": "sms", "class": "transactional", "purpose": "x", "audience": "a"}
    )
    writing = Writing(
        settings, campaign, TemplateVersion(name="t", hash="h", sources={"t/sms.txt": text}), message_id=1, at=NOW
    )
    read: dict[str, str] = {}
    for number in range(1_500):
        attributes = {name: chance.choice(VALUES) for name in settings.attributes if chance.random() < 0.8}
        customer = {
            **dict.fromkeys(settings.attributes),
            **attributes,
            "id": f"c{number % 3}",
            "locale": chance.choice(("fi", "en", None)),
            "time_zone": chance.choice(("Europe/Helsinki", "Asia/Tokyo", None)),
            "created_at": datetime(2026, 1, 1 + number % 2, tzinfo=NOW.tzinfo).isoformat(),
        }
        key = writing.key(customer)
        assert read.setdefault(key, told(writing, customer)) == told(writing, customer)
    assert 2 < len(read) <= 1_500


def told(writing: Writing, customer: Mapping[str, Any]) -> str:
    try:
        return writing.render(customer).content.text
    except ContentError as error:
        return f"problem: {error}"


# ---------------------------------------------------------------- SMS, part by part


SMS = NEWS.replace("campaign: news", "campaign: texts").replace("email", "sms")
NUMBERS = {"FI": "+35840{:07d}", "US": "+1212555{:04d}", "SE": "+4670{:07d}", "AX": "+3581845{:04d}"}


def texting(folder: Path, database: Database, text: str) -> Shop:
    chance = random.Random(7)
    shop = crowd.shop(folder, database, [])
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    route = "channels:\n  sms: {commercial: {provider: scripted, from: '+15005550006'}}\n"
    (folder / "config.yaml").write_text(config.replace("channels:\n", route), encoding="utf-8")
    (folder / "templates/texts").mkdir()
    (folder / "templates/texts/sms.txt").write_text(text, encoding="utf-8")
    crowd.rewrite(shop, "rules/texts.yaml", SMS)
    people = []
    for number in range(60):
        row = {"id": f"s{number}", "sms": chance.choice(list(NUMBERS.values())).format(number)}
        row["consent.sms.offers"] = chance.choice(("yes", "yes", "yes", "no", ""))
        row["first_name"] = chance.choice(("Ana", "Väinö 🎵", "x" * 150, ""))
        people.append({name: value for name, value in row.items() if value})
    crowd.add(shop, people)
    return shop


def asked(shop: Shop) -> Planned:
    (one,) = plan(shop.workspace, shop.database, now=NOW, campaign="texts").campaigns
    return one


def test_every_part_is_counted_and_paid(tmp_path: Path, database: Database) -> None:
    """Parts and price are what one gets who renders and counts each recipient's message by itself."""
    shop = texting(tmp_path, database, "Hello {{ customer.first_name | default('you') }}, {{ links.unsubscribe }} STOP")
    one, campaign = asked(shop), shop.workspace.campaigns["texts"]
    writing = Writing(
        shop.workspace.settings, campaign, read_template(tmp_path / "templates", "texts"), message_id=1, at=NOW
    )
    alone = Asked(campaign=campaign, settings=shop.workspace.settings, at=NOW, writing=writing, folder=tmp_path)
    parts, amount = 0, Decimal()
    with database.reading() as connection:
        ids = [row.id for row in connection.execute(select(customers.c.id))]
        for facts in alone.facts(connection, ids).values():
            if alone.fate(facts).hour is not None:
                content = writing.render(facts.customer).content
                assert isinstance(content, TextContent) and facts.address is not None
                count = sms.segments(content.text).count
                parts += count
                finland = facts.address.startswith("+358") and not facts.address.startswith("+35818")
                amount += count * (Decimal("0.05") if finland else Decimal("0.08"))
    assert (one.cost.parts, one.cost.amount, one.cost.messages) == (parts, amount, one.sent)
    assert one.cost.parts > one.sent > 20
    assert {country.country for country in one.cost.countries} == set(NUMBERS)
    assert sum(country.parts for country in one.cost.countries) == one.cost.parts


def test_countries_without_a_price_are_told(tmp_path: Path, database: Database) -> None:
    """What has a price is added up; for the rest there is a warning, not a guess."""
    shop = texting(tmp_path, database, "Hello STOP")
    config = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    crowd.rewrite(shop, "config.yaml", config.replace(", default: 0.08", ""))
    one = asked(shop)
    finns = next(country for country in one.cost.countries if country.country == "FI")
    assert one.cost.amount == finns.amount == finns.parts * Decimal("0.05")
    assert one.cost.unpriced == one.sent - finns.messages > 0
    assert any("without a price" in warning for warning in one.warnings)


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+358401234567", "FI"), ("+35818456789", "AX"), ("+12125550123", "US"), ("+14165550123", "CA"),
        ("+447400123456", "GB"), ("+393331234567", "IT"), ("+37069912345", "LT"), ("+80012345678", UNKNOWN), ("+999", UNKNOWN), ("", UNKNOWN),
    ],
)  # fmt: skip
def test_the_country_of_a_number(number: str, country: str) -> None:
    """By its calling code where one country has it, else by the number itself."""
    assert country_of(number) == country


def test_email_is_paid_by_the_message() -> None:
    """And without a price there is no amount, not 0."""
    assert cost_of(Channel.EMAIL, Prices(email=Decimal("0.001")), 1_500, {}).amount == Decimal("1.500")
    assert cost_of(Channel.EMAIL, Prices(), 1_500, {}).amount is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"prices": {"sms": {"Finland": "0.05"}}},
        {"prices": {"sms": {"fi": "0.05"}}},
        {"prices": {"sms": {"FI": "-1"}}},
        {"prices": {"email": "cheap"}},
        {"guards": {"audience_jump": "0.5"}},
        {"guards": {"audience_jump": "half"}},
    ],
)
def test_prices_and_guards_are_checked(wrong: dict[str, Any]) -> None:
    """A country has two capital letters, a price is no less than nothing, a share has its percent sign."""
    right = {"workspace": "shop", "time_zone": "UTC", "secret": "${env:REGULARS_SECRET}"}
    Settings.model_validate(
        {**right, "prices": {"sms": {"NO": "0.07", "default": "0.1"}}, "guards": {"plan_drift": "12.5 %"}}
    )
    with pytest.raises(ValidationError):
        Settings.model_validate({**right, **wrong})


def test_the_page_on_planning_is_right() -> None:
    """Its settings are settings, and the defaults that it names are the defaults."""
    page = (Path(__file__).parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    given = yaml.load(block, Loader=yaml.BaseLoader)
    settings = Settings.model_validate({"workspace": "shop", "time_zone": "UTC", "secret": "${env:X}", **given})
    assert settings.guards == Guards()
    assert settings.prices.sms["FI"] == Decimal("0.05")

"""A `not` over an attribute that may be missing is told with both counts: those who differ, and those who have none."""

from __future__ import annotations

import dataclasses
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from rich.console import Console

from engine import document
from engine.cli.pages import audience_page
from engine.cli.plan import plan_page
from engine.questions.audience import audience as ask
from engine.questions.plan import plan
from engine.rules.read import Reading, read_segment
from engine.rules.syntax import All, AnyOf, Attribute, Condition, Not
from engine.rules.vocabulary import Vocabulary
from engine.rules.workspace import Workspace
from engine.store import Database
from tests.postgres import Server
from tests.questions import crowd
from tests.rules import plainly, shop
from tests.rules.rules import Rule, rules
from tests.rules.shop import NOW

PEOPLE = shop.people(60)


def with_segment(rule: Rule) -> Workspace:
    """The shop with one more segment, `asked`."""
    made = shop.workspace()
    reading = Reading(vocabulary=Vocabulary.of(shop.SETTINGS, frozenset(made.segments)))
    at = document.Position(file="asked.yaml")
    read = read_segment(reading, document.Text("asked", at), document.node({"who": rule}, at))
    assert read is not None, reading.problems
    return dataclasses.replace(made, segments={**made.segments, "asked": read})


def counts(database: Database, rule: Rule) -> set[tuple[str, int, int]]:
    found = ask(with_segment(rule), database, "asked", now=NOW)
    assert found.count == len(plainly.chosen(rule, PEOPLE, NOW))
    return {(one.attribute, one.differs, one.missing) for one in found.missing}


def expected(rule: Rule, *denied: Rule) -> set[tuple[str, int, int]]:
    """By the plain reading: of those chosen, who has a value that the denied condition does not fit, and who has none."""
    chosen = plainly.chosen(rule, PEOPLE, NOW)
    told = set()
    for one in denied:
        (name,) = one
        known = plainly.chosen({name: {"present": "true"}}, PEOPLE, NOW)
        differs = (chosen & known) - plainly.chosen(one, PEOPLE, NOW)
        if chosen - known:
            told.add((name, len(differs), len(chosen - known)))
    return told


FINNS = {"country": {"in": ["FI", "fi"]}}
OLD = {"age": {"at_least": "3"}}


@pytest.mark.parametrize(
    ("rule", "denied"),
    [
        ({"not": {"country": "FI"}}, [{"country": "FI"}]),
        ({"not": {"country": {"starts_with": "F"}}}, [{"country": {"starts_with": "F"}}]),
        ({"none": [FINNS, OLD, {"did": "visit"}]}, [FINNS, OLD]),
        ({"not": {"all": [FINNS, OLD]}}, [FINNS, OLD]),
        ({"any": [{"did": "purchase"}, {"not": OLD}]}, [OLD]),
        ({"all": [{"did": "purchase"}, {"not": {"segment": "finns"}}]}, [FINNS]),
        ({"not": {"any": [{"not": {"vip": "true"}}, {"not": {"not": OLD}}]}}, [OLD]),
        ({"not": {"locale": "fi"}}, [{"locale": "fi"}]),
        ({"not": {"birthday": {"anniversary_within": "7 days"}}}, [{"birthday": {"anniversary_within": "7 days"}}]),
        ({"not": {"tags": {"contains": "FI"}}}, [{"tags": {"contains": "FI"}}]),
        ({"not": {"seen": {"before": "7 days ago"}}}, [{"seen": {"before": "7 days ago"}}]),
    ],
)
def test_both_counts_are_told(database: Database, rule: Rule, denied: list[Rule]) -> None:
    """However deep the `not` stands, also in a segment that is mentioned; of whoever is in the audience."""
    shop.load(database, PEOPLE)
    told = counts(database, rule)
    assert told == expected(rule, *denied)
    assert told


@pytest.mark.parametrize(
    "rule",
    [
        FINNS,
        {"country": {"is_not": "FI"}},
        {"not": {"not": FINNS}},
        {"any": [{"did": "purchase"}, {"not": {"not": OLD}}]},
        {"all": [{"country": {"present": "true"}}, {"not": FINNS}]},
        {"not": {"country": {"present": "true", "is": "FI"}}},
        {"not": {"country": {"present": "false"}}},
        {"not": {"id": "customer 3"}},
        {"not": {"created_at": {"before": "7 days ago"}}},
        {"not": {"did": "purchase", "where": {"title": "FI"}}},
    ],
)
def test_what_takes_in_nobody_unmeant_is_not_told(database: Database, rule: Rule) -> None:
    """No `not`, or two; a value asked for beside it, or spoken of under it; what every customer has; events."""
    shop.load(database, PEOPLE)
    assert counts(database, rule) == set()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The people, loaded once."""
    from engine.store import open_database
    from tests.conftest import SECRET

    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('missing') / 'regulars.db'}"
    else:
        server: Server = request.getfixturevalue("postgres_server")
        _, url = server.copy("template_regulars")
    database = open_database(url, secret=SECRET)
    shop.load(database, PEOPLE)
    yield database
    database.close()


def denied(condition: Condition, *, by_not: bool = False) -> set[Attribute]:
    match condition:
        case All() | AnyOf():
            return {one for part in condition.of for one in denied(part, by_not=by_not)}
        case Not():
            return denied(condition.of, by_not=not by_not)
        case Attribute() if by_not:
            return {condition}
    return set()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules())
def test_any_rules_counts_add_up(crowded: Database, rule: Rule) -> None:
    """Differing and missing are never more than the audience; of what is denied to everybody in it, they are the audience."""
    workspace = with_segment({"not": rule})
    found = ask(workspace, crowded, "asked", now=NOW)
    assert found.count == len(plainly.chosen({"not": rule}, PEOPLE, NOW))
    who = workspace.segments["asked"].who
    assert isinstance(who, Not)
    parts = who.of.of if isinstance(who.of, AnyOf) else (who.of,)
    flat = len(denied(who)) == len(parts) and all(isinstance(part, Attribute) for part in parts)
    for one in found.missing:
        assert one.differs + one.missing <= found.count
        assert not flat or one.differs + one.missing == found.count


def test_the_plan_warns(tmp_path: Path, database: Database) -> None:
    """Beside the campaign's other warnings, with the place in the file and both ways to write what is meant; 80 columns wide."""
    people = [
        {"id": f"c{n}", **({"first_name": "Ana"} if n % 3 == 0 else {"first_name": "Bo"} if n % 3 == 1 else {})}
        for n in range(9)
    ]
    made = crowd.shop(tmp_path, database, people)
    crowd.rewrite(made, "rules/segments.yaml", "segments:\n  others:\n    who:\n      not: {first_name: Ana}\n")
    news = (tmp_path / "rules/news.yaml").read_text()
    line = next(line for line in news.splitlines() if line.startswith("audience"))
    crowd.rewrite(made, "rules/news.yaml", news.replace(line, "audience: others"))
    whole = plan(made.workspace, made.database, now=crowd.NOW, campaign="news")
    (one,) = whole.campaigns
    assert one.audience == 6
    assert [(each.differs, each.missing) for each in one.missing] == [(3, 3)]
    told = (
        'rules/segments.yaml:4:13: the `not` over "first_name" holds for 3 because it differs, for 3 because it is missing. Add '
        "`first_name: {present: true}` beside the `not` to leave those out, or `present: true` under it if they are meant."
    )
    assert told in one.warnings and whole.warned
    page = StringIO()
    plan_page(Console(file=page, width=80), whole)
    audience_page(Console(file=page, width=80), ask(made.workspace, made.database, "others", now=crowd.NOW), sql=False)
    assert page.getvalue().count("warning: rules/segments.yaml:4:13") == 2
    assert max(map(len, page.getvalue().splitlines())) <= 80

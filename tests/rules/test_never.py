"""Conditions that can never hold are refused; and nothing is refused that could hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import document
from engine.rules.never import of_condition
from engine.rules.read import Reading, read_condition
from engine.rules.vocabulary import Vocabulary
from engine.store import Database, open_database
from tests.rules import language, plainly, shop
from tests.rules.agreeing import WORKSPACE, Asked, read, refused
from tests.rules.language import Rule, rules
from tests.rules.shop import NOW

DRAWN = int(os.environ.get("REGULARS_RANDOM_RULES", "100"))
CROWD = shop.people(500, seed=7)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Database]:
    """Many customers, with what they did on all the edges that the random rules ask for."""
    path = tmp_path_factory.mktemp("never") / "crowd.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = open_database(f"sqlite:///{path}", secret="a secret for tests, long enough")
    shop.load(database, CROWD)
    yield database
    database.close()


def _beside() -> st.SearchStrategy[Rule]:
    """Several conditions on one thing, some of them turned round: where contradictions are frequent."""
    about = st.one_of(*([language._did("purchase")] * 4), language._attributes(), language._got(), language._rfm())
    parts = st.lists(st.one_of(about, about.map(lambda rule: {"not": rule})), min_size=2, max_size=4)
    return st.tuples(st.sampled_from(("all", "all", "any", "none")), parts).map(lambda drawn: {drawn[0]: drawn[1]})


@settings(max_examples=DRAWN, deadline=None, suppress_health_check=list(HealthCheck))
@given(rule=st.one_of(rules(), _beside(), _beside()))
def test_what_is_called_impossible_matches_nobody(crowd: Database, rule: Rule) -> None:
    """Of every finding, what it says can never be at once is true of none of the customers; nor, read plainly, is the rule."""
    asked = Asked(several=[rule])
    (condition,) = asked.read()
    refused(crowd, asked, [condition])
    if any(finding.never == (condition,) for finding in of_condition(condition, WORKSPACE.segments)):
        assert not plainly.chosen(rule, CROWD[:200], NOW)


def told(text: str) -> list[str]:
    vocabulary = Vocabulary.of(
        shop.SETTINGS, frozenset(shop.SEGMENTS), campaigns=frozenset(shop.CAMPAIGNS), lists=shop.LISTS
    )
    reading = Reading(vocabulary=vocabulary)
    condition = read_condition(reading, document.parse(text, "r.yaml"))
    assert condition is not None, reading.problems
    return [str(finding.problem) for finding in of_condition(condition, WORKSPACE.segments)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # one value
        ("age: {at_least: 5, less_than: 3}", "1:20: error: `age: {less_than: 3}` can never hold together with `age: {at_least: 5}` (line 1, column 7). Change one of them, or put them under `any:` if either will do."),
        ("all: [{country: FI}, {country: SE}]", "1:32: error: `country: SE` can never hold together with `country: FI` (line 1, column 17)."),
        ("country: {is: FI, present: false}", "`country: {present: false}` can never hold together with `country: FI`"),
        ("country: {in: [FI, SE], not_in: [SE, FI]}", "`country: {not_in: [SE, FI]}` can never hold together with `country: {in: [FI, SE]}`"),
        ("all: [{country: {in: [FI, SE]}}, {country: {is_not: FI}}, {country: {is_not: SE}}]", "`country: {is_not: SE}` can never hold together with `country: {in: [FI, SE]}` (line 1, column 18) and `country: {is_not: FI}` (line 1, column 45)."),
        ("country: {starts_with: F, ends_with: I, is: SE}", "`country: SE` can never hold together with `country: {starts_with: F}`"),
        ("country: {is: FI, is_like: se}", "`country: {is_like: se}` can never hold"),
        ("all: [{country: {starts_with: Hels}}, {not: {country: {contains: el}}}]", "`not: {country: {contains: el}}` can never hold"),
        ("all: [{vip: true}, {vip: false}]", "`vip: false` can never hold"),
        ("all: [{tags: {contains: a}}, {not: {tags: {contains_any: [a, b]}}}]", "`not: {tags: {contains_any: [a, b]}}` can never hold"),
        ("age: {multiple_of: 10, more_than: 20, less_than: 30}", "`age: {less_than: 30}` can never hold together with `age: {multiple_of: 10}` (line 1, column 7) and `age: {more_than: 20}` (line 1, column 24)."),
        ("birthday: {after: 2000-01-01, before: 2000-01-02}", "`birthday: {before: 2000-01-02}` can never hold"),
        ("birthday: {before: 10 days ago, after: 10 days ago}", "`birthday: {after: 10 days ago}` can never hold"),
        ("birthday: {between: [2000-01-01, today], before: 1999-01-01}", "`birthday: {before: 1999-01-01}` can never hold"),
        ("birthday: {anniversary_in: 8 days, anniversary_within: 7 days}", "`birthday: {anniversary_within: 7 days}` can never hold"),
        ("did: purchase\nfirst: {anniversary_in: 0 days}\nwithin: 90 days", "`did: purchase, within: 90 days, first: {anniversary_in: 0 days}` can never hold"),
        ("all: [{created_at: {anniversary_in: 0 days}}, {created_at: {after: 30 days ago}}]", "`created_at: {after: 30 days ago}` can never hold together with `created_at: {anniversary_in: 0 days}`"),
        ("birthday: {anniversary_within: 7 days, after: 357 days ago}", "`birthday: {after: 357 days ago}` can never hold together with `birthday: {anniversary_within: 7 days}`"),
        ("seen: {anniversary_in: 8 days, anniversary_within: 7 days}", "`seen: {anniversary_within: 7 days}` can never hold"),
        ("seen: {after: in 1 day, before: 2 days ago}", "`seen: {before: 2 days ago}` can never hold"),
        ("id: {present: false}", "1:6: error: `id: {present: false}` can never hold. Every customer has one."),
        ("lot: {of: x, at_least: 50, less_than: 20}", "`lot: {of: x, less_than: 20}` can never hold"),
        ("lot: {of: x, at_least: 100}", "1:14: error: `lot: {of: x, at_least: 100}` can never hold. Lots lie between 0 and 99.99."),
        ("lot: {of: x, more_than: 5, less_than: 5.01}", "`lot: {of: x, less_than: 5.01}` can never hold"),
        # all, any, none, not
        ("all: [{country: FI}, {not: {country: FI}}]", "`not: {country: FI}` can never hold together with `country: FI`"),
        ("all: [{country: FI}, {none: [{vip: true}, {country: FI}]}]", "1:44: error: `not: {country: FI}` can never hold"),
        ("any: [{vip: true}, {all: [{country: FI}, {country: SE}]}]", "1:52: error: `country: SE` can never hold together with `country: FI` (line 1, column 37)."),
        ("all: [{country: FI}, {any: [{country: SE}, {vip: true}]}]", "1:39: error: `country: SE` can never hold together with `country: FI` (line 1, column 17)."),
        ("not: {not: {all: [{vip: true}, {any: [{vip: false}, {country: {is: FI, present: false}}]}]}}", "`country: {present: false}` can never hold"),
        ("all: [{age: 7}, {not: {age: {at_least: 5, at_most: 9}}}]", "can never hold together with `age: 7` (line 1, column 13)."),
        ("all: [{any: [{country: FI}, {country: SE}]}, {none: [{country: FI}, {country: SE}]}]", "can never hold together with"),
        ("not: {any: [{country: {present: true}}, {country: {present: false}}]}", "can never hold together with"),
        # what was done
        ("all: [{not: {did: purchase}}, {did: purchase, times: {at_least: 1}, within: 90 days}]", "1:55: error: `did: purchase, within: 90 days, times: {at_least: 1}` can never hold together with `not: {did: purchase}` (line 1, column 13)."),
        ("all: [{not: {did: purchase}}, {did: purchase, sum: {of: amount, more_than: 0}}]", "`did: purchase, sum: {of: amount, more_than: 0}` can never hold"),
        ("all: [{did: purchase, times: {at_least: 3}, where: {amount: {at_least: 50}}}, {did: purchase, times: {at_most: 1}, where: {amount: {at_least: 20}}}]", "`did: purchase, times: {at_most: 1}` can never hold"),
        ("all: [{did: purchase, last: {before: 180 days ago}}, {did: purchase, within: 90 days}]", "`did: purchase, within: 90 days` can never hold together with `did: purchase, last: {before: 180 days ago}`"),
        ("all: [{did: purchase, within: 1 day}, {did: purchase, days_since_last: {at_least: 1}}]", "`did: purchase, days_since_last: {at_least: 1}` can never hold together with `did: purchase, within: 1 day`"),
        ("all: [{did: purchase, first: {after: 1 day ago}}, {did: purchase, before: 1 day ago}]", "can never hold together with"),
        ("all: [{did: purchase, min: {of: amount, at_least: 50}}, {did: purchase, max: {of: amount, at_most: 20}}]", "`did: purchase, max: {of: amount, at_most: 20}` can never hold"),
        ("all: [{did: purchase, gap: {at_most: 9}}, {did: purchase, times: {at_most: 1}}]", "`did: purchase, times: {at_most: 1}` can never hold together with `did: purchase, gap: {at_most: 9}`"),
        ("all: [{did: visit, then: {did: purchase}}, {not: {did: purchase}}]", "`not: {did: purchase}` can never hold together with `did: visit`"),
        ("all: [{did: purchase, since: {first: visit}}, {not: {did: visit}}]", "`not: {did: visit}` can never hold together with `did: purchase, since: {first: visit}`"),
        ("all: [{opened: welcome, on: email}, {none: [{opened: any}]}]", "`not: {opened: any}` can never hold together with `opened: welcome, on: email`"),
        ("did: purchase\ntimes: {less_than: 0}", "2:9: error: `did: purchase, times: {less_than: 0}` can never hold. There are 0 or more."),
        ("did: purchase\nshare: {more_than: 100}\nwhere: {gift: true}", "It lies between 0 and 100."),
        ("did: purchase\nwithin: 90 days\nlast: {before: 100 days ago}", "Nothing counts that lies outside the window, or after now."),
        ("did: purchase\nwhere: {amount: {at_least: 5, less_than: 3}}\ntimes: {is: 0}", "2:31: error: `amount: {less_than: 3}` can never hold together with `at_least: 5`."),
        ("did: visit\nthen: {did: purchase, where: {gift: {is: true, present: false}}}", "`gift: {present: false}` can never hold"),
        ("did: visit\nthen: {did: purchase, within: 1 hour}\nthen_not: {did: purchase, within: 2 hours}", "3:1: error: `then_not` can never hold together with `then` (line 2, column 1)."),
        # windows
        ("did: purchase\nwithin: 30 days\nbefore: 60 days ago", "3:1: error: nothing can lie in both `before` and `within` (line 2, column 1)."),
        ("created_at: {before: 2026-01-01, after: 2026-02-01T12:00}", "`created_at: {after: 2026-02-01 12:00}` can never hold together with `created_at: {before: 2026-01-01}`"),
        ("did: purchase\nsince: in 2 hours", "2:1: error: nothing can have happened so late: `since` begins after now."),
        ("did: purchase\nbetween: [in 1 day, in 2 days]", "2:1: error: nothing can have happened so late: `between` begins after now."),
        ("opened: any\nsince: 2026-02-01\nbefore: 2026-01-01", "3:1: error: nothing can lie in both `before` and `since` (line 2, column 1)."),
        ("did: purchase\nsince: {last: purchase}", "2:1: error: `since: {last: purchase}` leaves no `did: purchase`: none is later than the last."),
        ("did: visit\nwithin: 1 day\nthen_not: {did: purchase, within: 2 days}", "3:1: error: nothing can count here: before the time of `then_not` is over"),
        # standing, scores, segments
        ("all: [{agreed_to: offers, on: email}, {refused: offers, on: email}]", "`refused: offers, on: email` can never hold"),
        ("all: [{agreed_to: offers, on: email}, {not: {agreed_to: offers}}]", "`not: {agreed_to: offers}` can never hold"),
        ("all: [{on_list: vip.txt}, {not: {on_list: vip.txt}}]", "`not: {on_list: vip.txt}` can never hold"),
        ("rfm: purchase\nband: champions\nrecency: {at_most: 3}", "3:11: error: `rfm: purchase, recency: {at_most: 3}` can never hold together with `rfm: purchase, band: champions`"),
        ("rfm: purchase\nrecency: {at_least: 6}", "2:11: error: `rfm: purchase, recency: {at_least: 6}` can never hold. Scores are 1 to 5, and their total is 3 to 15."),
        ("all: [{segment: finns}, {country: SE}]", "1:35: error: `country: SE` can never hold together with `segment: finns`, which asks for `country: {in: [FI, fi]}` at segments.yaml:1:1, (line 1, column 17)."),
        ("all: [{segment: finns}, {not: {segment: buyers}}]", "1:41: error: `segment: buyers`, which asks for `not: {country: {in: [FI, fi]}}`"),
    ],
)  # fmt: skip
def test_a_contradiction_is_told_with_both_places(rule: str, expected: str) -> None:
    """Where, with what, and what to do; the one mistake once."""
    (problem,) = told(rule)
    assert expected in problem


@pytest.mark.parametrize(
    "rule",
    [
        "all: [{not: {did: purchase, within: 30 days}}, {did: purchase, within: 90 days}]",
        "all: [{not: {did: purchase, where: {gift: true}}}, {did: purchase}]",
        "all: [{not: {did: purchase}}, {did: purchase, sum: {of: amount, at_most: 0}}]",
        "all: [{did: purchase, last: {before: 90 days ago}}, {did: purchase, since: 91 days ago}]",
        "all: [{did: purchase, since: {last: visit}}, {did: visit}]",
        "did: purchase\nsince: {first: purchase}",
        "did: visit\nwithin: 3 hours\nthen_not: {did: purchase, within: 2 hours}",
        "did: visit\nthen: {did: purchase, within: 2 hours}\nthen_not: {did: purchase, within: 1 hour}",
        "did: purchase\nwithin: 90 days\nbefore: 89 days ago",
        "did: purchase\nbetween: [2027-01-01, in 1 day]",
        "all: [{agreed_to: offers}, {refused: offers}]",
        "all: [{agreed_to: offers, on: email}, {refused: offers, on: sms}]",
        "all: [{opened: welcome}, {not: {opened: newsletter}}]",
        "all: [{not: {age: {at_least: 5}}}, {not: {age: {less_than: 5}}}]",
        "all: [{not: {age: {at_least: 5, at_most: 9}}}, {age: {at_least: 5}}]",
        "all: [{not: {vip: true}}, {not: {vip: false}}]",
        "tags: {contains_all: [a, b]}\nnone: [{tags: {contains: c}}]",
        "country: {starts_with: F, ends_with: I}",
        "country: {contains: FI, is_not: FI}",
        "age: {more_than: 2, less_than: 2.000001}",
        "birthday: {after: 2000-01-01, before: 90 days ago, anniversary_in: 7 days}",
        "birthday: {anniversary_within: 7 days, after: 359 days ago}",
        "seen: {anniversary_within: 7 days, after: 359 days ago}",
        "did: purchase\nfirst: {anniversary_in: 0 days}\nwithin: 366 days",
        "all: [{not: {birthday: {anniversary_in: 0 days}}}, {birthday: {after: 30 days ago}}]",
        "lot: {of: x, less_than: 10}\nall: [{lot: {of: y, at_least: 10}}]",
        "rfm: purchase\nband: [loyal, at_risk]\nrecency: {at_most: 2}",
        "any: [{segment: finns}, {not: {segment: finns}, vip: true}]",
        "id: {present: true}",
    ],
)
def test_what_can_hold_is_let_pass(rule: str) -> None:
    """Near misses, and what only looks contradictory: something missing makes both false, two addresses say two things."""
    assert told(rule) == []


@pytest.mark.parametrize(
    "rule",
    [
        "did: purchase\ntimes: {at_least: 0}",
        "any: [{country: {present: true}}, {country: {present: false}}]",
        "any: [{did: purchase}, {not: {did: purchase, within: 90 days}}]",
        "lot: {of: x, less_than: 100}",
    ],
)
def test_what_always_holds_is_a_warning(rule: str) -> None:
    """It leaves nobody out, so it may stand; it is hardly what was meant."""
    assert told(rule) == ["r.yaml:1:1: warning: this always holds: it leaves nobody out. Change it, or take it out."]


def test_a_rule_too_tangled_to_tell_is_let_pass() -> None:
    """Choices multiply. Rather than try them all for minutes, the check lets the rule go."""
    rule = read({"all": [{"any": [{"age": "1"}, {"age": "2"}]}, {"any": [{"age": "3"}, {"age": "4"}]}]})
    assert of_condition(rule, {}) and not of_condition(rule, {}, steps=30)

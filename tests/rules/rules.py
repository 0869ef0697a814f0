"""Random rules of the language's plainest half: attributes, and events counted, summed and dated; `language` has all of it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from engine.document import Position, node
from engine.errors import Severity
from engine.rules.never import of_condition
from engine.rules.read import Reading, read_condition
from engine.rules.vocabulary import Vocabulary
from tests.rules.plainly import TYPES
from tests.rules.shop import DAYS, NUMBERS, SEGMENTS, SETTINGS, TEXTS, workspace

Rule = dict[str, Any]

_text = st.sampled_from([text for text in TEXTS if text] + ["F", "%", "_", "0", "nothing", "ä", "customer 3", "en"])
_number = st.sampled_from([str(number) for number in NUMBERS] + ["0.6", "19.99", "20", "-1"])
_count = st.sampled_from(["0", "1", "2", "3", "5"])
_span = st.sampled_from(["1 second", "1 day", "7 days", "90 days", "13 weeks", "900 days"])
_date = st.sampled_from([*DAYS, "today", "1 day ago", "90 days ago"])
_moment = st.one_of(
    _span.map(lambda span: f"{span} ago"),
    st.sampled_from(
        ["2026-03-02T12:00:00+00:00", "2026-03-02T14:00", "2026-03-01", "2025-12-02T11:59:59Z", "2026-02-23"]
    ),
)
_yes = st.sampled_from(["true", "false"])
_VALUES = {"text": _text, "number": _number, "boolean": _yes, "date": _date, "time": _moment, "list": _text}
_OPERATORS = {
    "text": ("is", "is_not", "contains", "starts_with", "ends_with", "in", "not_in", "present"),
    "number": ("is", "is_not", "at_least", "at_most", "more_than", "less_than", "between", "in", "not_in", "present"),
    "boolean": ("is", "present"),
    "date": ("is", "is_not", "before", "after", "between", "in", "not_in", "present"),
    "time": ("before", "after", "between", "present"),
    "list": ("contains", "present"),
}


def _operand(operator: str, one: st.SearchStrategy[str], kind: str) -> st.SearchStrategy[Any]:
    if operator == "present":
        return _yes
    if operator in ("in", "not_in"):
        return st.lists(one, min_size=1, max_size=4)
    if operator == "between":
        return _BETWEEN[kind]
    return one


_BETWEEN = {
    "number": st.sampled_from([["0", "2"], ["0.1", "19.99"], ["-5", "-5"], ["2.5", "1000000"]]),
    "date": st.sampled_from([["1990-02-28", "1996-02-29"], ["90 days ago", "today"], ["7 days ago", "1 day ago"]]),
    "time": st.sampled_from(
        [["90 days ago", "7 days ago"], ["2026-02-23", "2026-03-02T14:00"], ["2025-12-02", "2026-03-02"]]
    ),
}


def _tests(
    kind: str, one: st.SearchStrategy[str] | None = None, without: tuple[str, ...] = ()
) -> st.SearchStrategy[Rule]:
    value = one if one is not None else _VALUES[kind]
    operators = [name for name in _OPERATORS[kind] if name not in without]
    single = st.sampled_from(operators).flatmap(lambda name: st.tuples(st.just(name), _operand(name, value, kind)))
    return st.lists(single, min_size=1, max_size=2).map(dict)


def _about(name: str) -> st.SearchStrategy[Any]:
    """A test of one attribute or property, with `is` in its short form now and then."""
    kind = TYPES[name]
    return st.one_of(_tests(kind), _VALUES[kind]) if "is" in _OPERATORS[kind] else _tests(kind)


def _attributes() -> st.SearchStrategy[Rule]:
    names = ("country", "age", "vip", "birthday", "seen", "tags", "id", "locale", "created_at")
    return st.sampled_from(names).flatmap(lambda name: st.fixed_dictionaries({name: _about(name)}))


def _where(event: str) -> st.SearchStrategy[Rule]:
    names = ("amount", "title", "gift", "shipped", "genres") if event == "purchase" else ("page",)
    one = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), _about(name)))
    return st.lists(one, min_size=1, max_size=2).map(dict)


def _measure(event: str) -> st.SearchStrategy[Rule]:
    times = st.fixed_dictionaries({"times": _tests("number", _count, ("present", "between"))})
    last = st.fixed_dictionaries({"last": _tests("time", without=("present",))})
    total = _tests("number", without=("present",)).map(lambda tests: {"sum": {"of": "amount", **tests}})
    return st.one_of(st.just({}), times, last, *((total,) if event == "purchase" else ()))


def _did(event: str) -> st.SearchStrategy[Rule]:
    parts = st.tuples(
        _measure(event),
        st.one_of(st.just({}), st.fixed_dictionaries({"within": _span})),
        st.one_of(st.just({}), st.fixed_dictionaries({"where": _where(event)})),
    )
    return parts.map(lambda found: {"did": event, **found[0], **found[1], **found[2]})


def _larger(rule: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    several = st.lists(rule, min_size=1, max_size=3)
    groups = st.tuples(st.sampled_from(("all", "any", "none")), several).map(lambda found: {found[0]: found[1]})
    opposite = rule.map(lambda inner: {"not": inner})
    together = st.tuples(_attributes(), groups).map(lambda found: {**found[0], **found[1]})
    return st.one_of(groups, opposite, together)


def rules() -> st.SearchStrategy[Rule]:
    """Any rule over the shop that `check` lets pass: some that are drawn can never hold."""
    member = st.sampled_from(sorted(SEGMENTS)).map(lambda name: {"segment": name})
    leaf = st.one_of(_attributes(), _did("purchase"), _did("visit"), member)
    return st.recursive(leaf, _larger, max_leaves=8).filter(_can_hold)


def _can_hold(rule: Rule) -> bool:
    vocabulary = Vocabulary.of(SETTINGS, frozenset(SEGMENTS))
    condition = read_condition(Reading(vocabulary=vocabulary), node(rule, Position(file="rule.yaml")))
    found = of_condition(condition, workspace().segments) if condition else ()
    return condition is not None and all(one.problem.severity is Severity.WARNING for one in found)

"""Random rules of the whole language, as a marketer could write them: plain mappings, with every word, measure and operator."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.rules.plainly import TYPES
from tests.rules.shop import DAYS, NUMBERS, SEGMENTS, TEXTS

Rule = dict[str, Any]

_text = st.sampled_from(
    [text for text in TEXTS if text] + ["F", "%", "_", "0", "nothing", "ä", "åLAND", "SAY", "customer 3", "en"]
)
_number = st.sampled_from([str(number) for number in NUMBERS] + ["0.6", "19.99", "20", "-1"])
_count = st.sampled_from(["0", "1", "2", "3", "5"])
_span = st.sampled_from(["1 second", "1 day", "7 days", "90 days", "13 weeks", "900 days"])
_date = st.sampled_from([*DAYS, "today", "1 day ago", "90 days ago", "in 1 day", "in 3 weeks"])
_moment = st.one_of(
    _span.map(lambda span: f"{span} ago"),
    st.just("in 2 hours"),
    st.sampled_from(
        ["2026-03-02T12:00:00+00:00", "2026-03-02T14:00", "2026-03-01", "2025-12-02T11:59:59Z", "2026-02-23"]
    ),
)
_yes = st.sampled_from(["true", "false"])
_VALUES = {"text": _text, "number": _number, "boolean": _yes, "date": _date, "time": _moment, "list": _text}
_OPERATORS = {
    "text": ("is", "is_not", "is_like", "contains", "contains_like", "starts_with", "ends_with", "in", "not_in", "present"),
    "number": ("is", "is_not", "at_least", "at_most", "more_than", "less_than", "multiple_of", "between", "in", "not_in", "present"),
    "boolean": ("is", "present"),
    "date": (
        "is", "is_not", "before", "after", "between", "in", "not_in", "present", "anniversary_in", "anniversary_within",
    ),
    "time": ("before", "after", "between", "present", "anniversary_in", "anniversary_within"),
    "list": ("contains", "contains_any", "contains_all", "present"),
}  # fmt: skip


def _operand(operator: str, one: st.SearchStrategy[str], kind: str) -> st.SearchStrategy[Any]:
    if operator == "present":
        return _yes
    if operator.startswith("anniversary"):
        return st.sampled_from(["0 days", "1 day", "7 days", "8 weeks", "92 days"])
    if operator == "multiple_of":
        return st.sampled_from(["1", "2", "3"])
    if operator in ("in", "not_in", "contains_any", "contains_all"):
        return st.lists(one, min_size=1, max_size=4)
    if operator == "between":
        return _BETWEEN[kind]
    return one


_BETWEEN = {
    "number": st.sampled_from([["0", "2"], ["0.1", "19.99"], ["-5", "-5"], ["2.5", "1000000"]]),
    "date": st.sampled_from([["1990-02-28", "1996-02-29"], ["90 days ago", "today"], ["7 days ago", "1 day ago"]]),
    "time": st.sampled_from(
        [
            ["90 days ago", "7 days ago"],
            ["2026-02-23", "2026-03-02T14:00"],
            ["7 days ago", "1 second ago"],
            ["2025-12-02", "2026-03-01"],
            ["2026-03-02", "2026-03-02"],
        ]
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


_OF = {
    "purchase": ("amount", "title", "gift", "shipped", "genres", "basket"),
    "visit": ("page", "basket"),
}


def _where(event: str) -> st.SearchStrategy[Rule]:
    one = st.sampled_from(_OF[event]).flatmap(lambda name: st.tuples(st.just(name), _about(name)))
    return st.lists(one, min_size=1, max_size=2).map(dict)


def _tests_of(tests: st.SearchStrategy[Rule], *, of: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Rule]:
    """The tests of a measure; now and then also a place among all, or that alone."""
    best = st.sampled_from(["1 %", "5", "20 %", "50 %", "99.5", "100 %"]).map(lambda share: {"among_best": share})
    several = st.one_of(tests, tests, best, st.tuples(tests, best).map(lambda both: {**both[0], **both[1]}))
    return several if of is None else st.tuples(of, several).map(lambda found: {"of": found[0], **found[1]})


_COUNT = _tests("number", _count, ("present", "between", "multiple_of"))
_AMOUNT = _tests("number", without=("present",))
_PERCENT = _tests("number", st.sampled_from(["0", "25", "50", "66.666667", "100", "150"]), ("present", "between"))
_WHEN = _tests("time", without=("present",))


def _of_all() -> dict[str, st.SearchStrategy[Rule]]:
    """The measures that events and messages both have."""
    times = _tests("number", _count, ("present", "between"))
    days = _tests("number", st.sampled_from(["0", "1", "7", "90", "89"]), ("present", "between", "multiple_of"))
    return {
        "times": _tests_of(times),
        "first": _WHEN,
        "last": _WHEN,
        "days_since_first": _tests_of(days),
        "days_since_last": _tests_of(days),
        "gap": _tests_of(_AMOUNT),
        "overdue": _tests_of(_AMOUNT),
    }


def _of_purchases() -> dict[str, st.SearchStrategy[Rule]]:
    amount, any_one = st.just("amount"), st.sampled_from(("amount", "title", "gift", "basket"))
    return {
        **{name: _tests_of(_AMOUNT, of=amount) for name in ("sum", "avg", "min", "max")},
        "distinct": _tests_of(_COUNT, of=any_one),
        "trend": _tests_of(_PERCENT, of=amount),
        "share": _tests_of(_PERCENT),
    }


def _measure(measures: dict[str, st.SearchStrategy[Rule]]) -> st.SearchStrategy[Rule]:
    names = st.sampled_from([*measures, "", ""])
    return names.flatmap(lambda name: measures[name].map(lambda tests: {name: tests}) if name else st.just({}))


def _perhaps(part: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    return st.one_of(st.just({}), st.just({}), part)


def _one(name: str, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Rule]:
    return strategy.map(lambda value: {name: value})


_edges = st.tuples(st.sampled_from(("last", "first")), st.sampled_from(("purchase", "visit"))).map(
    lambda found: {found[0]: found[1]}
)
_WINDOW = st.one_of(
    st.just({}),
    _one("within", _span),
    _one("since", st.one_of(_moment, _edges)),
    _one("before", _moment),
    _one("between", _BETWEEN["time"]),
    st.tuples(_one("within", _span), _one("since", _edges)).map(lambda both: {**both[0], **both[1]}),
)


def _then() -> st.SearchStrategy[Rule]:
    def after(event: str) -> st.SearchStrategy[Rule]:
        parts = (
            st.just({"did": event}),
            _perhaps(_one("within", _span)),
            _perhaps(_one("where", _where(event))),
            _perhaps(_one("same", st.sampled_from(["basket", ["basket"]]))),
        )
        return st.tuples(*parts).map(_together)

    then = st.sampled_from(("purchase", "visit")).flatmap(after)
    return st.sampled_from(("then", "then_not")).flatmap(lambda word: _one(word, then))


def _together(parts: tuple[Rule, ...]) -> Rule:
    return {key: value for part in parts for key, value in part.items()}


def _complete(rule: Rule) -> Rule:
    """What some measures cannot be without."""
    if "share" in rule and "where" not in rule:
        rule = {**rule, "where": {"gift": "true"}}
    return {**rule, "within": "90 days"} if "trend" in rule and "within" not in rule else rule


def _did(event: str) -> st.SearchStrategy[Rule]:
    measures = {**_of_all(), **(_of_purchases() if event == "purchase" else {})}
    parts = (
        st.just({"did": event}),
        _measure(measures),
        _WINDOW,
        _perhaps(_one("where", _where(event))),
        _perhaps(_then()),
    )
    return st.tuples(*parts).map(_together).map(_complete)


def _got() -> st.SearchStrategy[Rule]:
    words = st.sampled_from(("was_sent", "received", "opened", "clicked", "replied_to"))
    named = words.flatmap(lambda word: _one(word, st.sampled_from(("any", "welcome", "newsletter"))))
    return st.tuples(named, _perhaps(_on()), _measure(_of_all()), _WINDOW).map(_together)


def _on() -> st.SearchStrategy[Rule]:
    return _one("on", st.sampled_from(("email", "sms")))


def _standing() -> st.SearchStrategy[Rule]:
    words = st.sampled_from(("agreed_to", "refused"))
    said = words.flatmap(lambda word: _one(word, st.sampled_from(("offers", "news"))))
    drawn = _tests("number", st.sampled_from(["0", "25", "50 %", "66.67%", "100", "100 %"]), ("present", "between"))
    lots = st.tuples(_one("of", st.sampled_from(("spring", "autumn"))), drawn).map(_together)
    return st.one_of(
        st.tuples(said, _perhaps(_on())).map(_together),
        _one("reachable_by", st.sampled_from(("email", "sms", "social"))),
        _one("on_list", st.sampled_from(("vip.txt", "empty.txt"))),
        _one("lot", lots),
    )


def _rfm() -> st.SearchStrategy[Rule]:
    score = _tests("number", st.sampled_from(["1", "2", "3", "4", "5"]), ("present", "between", "multiple_of"))
    bands = st.sampled_from(
        ["champions", "hibernating", ["loyal", "potential"], ["new", "promising", "at_risk"], ["cannot_lose"]]
    )
    asked = st.one_of(_one("band", bands), *(_one(name, score) for name in ("recency", "frequency", "monetary")))
    total = _one("total", _tests("number", st.sampled_from(["3", "8", "12"]), ("present", "between", "multiple_of")))
    event = st.just({"rfm": "purchase", "money": "amount"})
    return st.tuples(event, st.one_of(asked, total), _perhaps(asked), _perhaps(_one("within", _span))).map(_together)


def _larger(rule: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    several = st.lists(rule, min_size=1, max_size=3)
    groups = st.tuples(st.sampled_from(("all", "any", "none")), several).map(lambda found: {found[0]: found[1]})
    opposite = rule.map(lambda inner: {"not": inner})
    together = st.tuples(_attributes(), groups).map(lambda found: {**found[0], **found[1]})
    return st.one_of(groups, opposite, together)


def rules() -> st.SearchStrategy[Rule]:
    """Any rule over the shop."""
    member = st.sampled_from(sorted(SEGMENTS)).map(lambda name: {"segment": name})
    events = st.one_of(_did("purchase"), _did("purchase"), _did("visit"))
    leaf = st.one_of(_attributes(), events, events, _got(), _standing(), _rfm(), member)
    return st.recursive(leaf, _larger, max_leaves=8)

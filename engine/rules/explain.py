"""A condition as one plain English sentence, from the same tables that read and compile it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import assert_never

from engine.model import AttributeType
from engine.rules.campaign import Reentry, ReentryAfter
from engine.rules.measures import MEASURES
from engine.rules.messages import REACHED
from engine.rules.operators import OPERATORS, Takes
from engine.rules.syntax import (
    Ago,
    All,
    AnyOf,
    At,
    Attribute,
    Condition,
    Consented,
    Did,
    Got,
    InSegment,
    Lot,
    Measured,
    Not,
    OnList,
    Property,
    Reachable,
    Rfm,
    Since,
    Test,
    Then,
    Value,
    Window,
)
from engine.scalars import spoken

MOST_SHOWN = 6
"""How many values of a list a sentence names."""


def sentence(condition: Condition) -> str:
    """`Customers whose country is FI, but not those who did purchase within the last 90 days.` Names stand as in the rules."""
    told = clause(condition)
    return f"{'Everybody' + told[len(_EVERYBODY) :] if told.startswith(_EVERYBODY) else f'Customers {told}'}."


def again(reentry: Reentry) -> str:
    """How often one customer gets a campaign, as a sentence."""
    if isinstance(reentry, ReentryAfter):
        return f"Whoever got it gets it again {spoken(reentry.after)} later at the earliest."
    return _AGAIN[reentry]


_AGAIN = {
    "never": "Each of them gets it once.",
    "on_rematch": "Whoever got it gets it again after being seen outside this audience at one of its starts, and coming back.",
    "always": "They get it at each of its starts.",
}
_EVERYBODY = "everybody"


def clause(condition: Condition) -> str:
    """The sentence's inside: `who did purchase`, `whose country is FI`, `either who … or who …`."""
    match condition:
        case All():
            return _all(condition.of)
        case AnyOf():
            told = [_nested(part) for part in condition.of]
            return told[0] if len(told) == 1 else f"either {', or '.join(told)}"
        case Not():
            return f"{_EVERYBODY} but those {_nested(condition.of)}"
        case InSegment():
            return f"who are in the segment {condition.segment}"
        case Attribute():
            return f"whose {condition.name} {_tests(condition.tests, condition.type)}"
        case Did() | Got():
            return _happened(condition)
        case Consented():
            return f"who {'agreed to' if condition.agreed else 'refused'} {condition.purpose}{_on(condition.channel)}"
        case Reachable():
            return f"who can be reached by {condition.channel}"
        case OnList():
            return f"who are on the list {condition.list}"
        case Lot():
            return f"whose lot in the draw {condition.of} {_tests(condition.tests, AttributeType.NUMBER)}"
        case Rfm():
            return _rfm(condition)
        case _:
            assert_never(condition)


def _all(several: tuple[Condition, ...]) -> str:
    """What must hold first, then what must not, so that the sentence begins with whom it is about."""
    wanted = [part for part in several if not isinstance(part, Not)]
    unwanted = [part.of for part in several if isinstance(part, Not)]
    told = ", and ".join(_nested(part) for part in wanted) or _EVERYBODY
    join = ", but not those" if wanted else " but those"
    return told + "".join(f"{join if not at else ', nor those'} {_nested(part)}" for at, part in enumerate(unwanted))


def _nested(condition: Condition) -> str:
    """A condition inside another: one of several parts stands in brackets, so that it can be read only one way."""
    told = clause(condition)
    alone = not isinstance(condition, All | AnyOf | Not) or (
        not isinstance(condition, Not) and len(condition.of) == 1 and not isinstance(condition.of[0], Not)
    )
    return told if alone else f"({told})"


def _tests(tests: tuple[Test, ...], kind: AttributeType) -> str:
    """What a value must be: `is at least 2 and is less than 10`."""
    return " and ".join(_test(test, kind) for test in tests)


def _test(test: Test, kind: AttributeType) -> str:
    operator = OPERATORS[test.operator, kind]
    match operator.takes:
        case Takes.YES_NO:
            return operator.reads if test.values == (True,) else "is not known"
        case Takes.MANY:
            shown = [_value(value, kind) for value in test.values[:MOST_SHOWN]]
            rest = len(test.values) - len(shown)
            listed = [*shown, f"{rest:,} more"] if rest else shown
            word = "and" if operator.name.endswith("_all") else "or"
            together = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} {word} {listed[-1]}"
            return operator.reads.format(together)
        case _:
            return operator.reads.format(*(_value(value, kind) for value in test.values))


def _value(value: Value, kind: AttributeType) -> str:
    """One value of a rule, as the rule would write it."""
    match value:
        case bool():
            return "true" if value else "false"
        case Ago():
            return _ago(value, kind)
        case timedelta():
            return spoken(value) if value else "0 days"
        case At():
            return value.told
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case str():
            return f"“{value}”"
        case _:
            assert_never(value)


def written(test: Test, kind: AttributeType) -> str:
    """A test as it stands in the rule: `at_least: 2`, `in: [FI, SE]`."""
    values = [value if isinstance(value, str) else _value(value, kind) for value in test.values[:MOST_SHOWN]]
    told = ", ".join([*values, *(("…",) if len(test.values) > MOST_SHOWN else ())])
    several = OPERATORS[test.operator, kind].takes in (Takes.MANY, Takes.TWO)
    return f"{test.operator}: {f'[{told}]' if several else told}"


def written_window(window: Window) -> str:
    """A window as it stands in the rule: `, within: 90 days`; nothing where there is none."""
    told = f", within: {spoken(window.within)}" if window.within else ""
    if isinstance(window.since, Since):
        told += f", since: {{{window.since.edge}: {window.since.event}}}"
    elif window.since is not None:
        told += f", since: {_value(window.since, AttributeType.TIME)}"
    if window.before is not None:
        told += f", before: {_value(window.before, AttributeType.TIME)}"
    if window.between is not None:
        told += f", between: [{', '.join(_value(moment, AttributeType.TIME) for moment in window.between)}]"
    return told


def _ago(value: Ago, kind: AttributeType) -> str:
    if not value.span:
        return "today" if kind is AttributeType.DATE else "now"
    return f"in {spoken(-value.span)}" if value.span < timedelta() else f"{spoken(value.span)} ago"


def _happened(condition: Did | Got) -> str:
    measured, rest = condition.measured, _rest(condition)
    if measured is None:
        return f"who {_done(condition)}{rest}"
    measure = MEASURES[measured.measure]
    where = f"with {_where(condition.where)}" if isinstance(condition, Did) and condition.where else ""
    one, several = _nouns(condition)
    subject = measure.reads.format(of=measured.of, one=f"{one}{rest}", events=f"{several}{rest}", where=where)
    return f"whose {subject} {_measured(measured, measure.type)}"


def _measured(measured: Measured, kind: AttributeType) -> str:
    told = [_tests(measured.tests, kind)] if measured.tests else []
    if measured.best is not None:
        told.append(f"is among the best {measured.best:f} %")
    return " and ".join(told)


def _done(condition: Did | Got) -> str:
    """What was done, after "who"."""
    if isinstance(condition, Did):
        return f"did {condition.event}"
    return REACHED[condition.word].reads.format("a message" if condition.campaign else "any message")


def _nouns(condition: Did | Got) -> tuple[str, str]:
    """What was done, as one thing and as several."""
    if isinstance(condition, Did):
        return condition.event, f"{condition.event} events"
    done = REACHED[condition.word].reads.format("").rstrip()
    return f"message they {done}", f"messages they {done}"


def _rest(condition: Did | Got) -> str:
    """Which of them count. What `where` asks stands apart where a measure compares by it."""
    window = _window(condition.window)
    if isinstance(condition, Got):
        campaign = f" of the campaign {condition.campaign}" if condition.campaign else ""
        return f"{campaign}{_on(condition.channel)}{window}"
    apart = condition.measured is not None and MEASURES[condition.measured.measure].compares
    where = "" if apart or not condition.where else f" with {_where(condition.where)}"
    then = "".join(_thens(condition)) if condition.measured is None else _followed(condition.then)
    return f"{where}{window}{then}"


def _thens(condition: Did) -> Iterator[str]:
    """What came after the event, in a sentence about it: none of these is counted from another."""
    for number, then in enumerate(condition.then):
        head = f", and after the same {condition.event}" if number else " and then"
        yield f"{head} {'did' if then.happened else 'did not do'} {_next(then)}"


def _followed(several: tuple[Then, ...]) -> str:
    """The same, of events that something is measured over."""
    told = " and ".join(f"{'' if then.happened else 'not '}followed by {_next(then)}" for then in several)
    return f" {told}" if told else ""


def _next(then: Then) -> str:
    where = f" with {_where(then.where)}" if then.where else ""
    same = f" with the same {' and '.join(name for name, _ in then.same)}" if then.same else ""
    soon = f" within {spoken(then.within)}" if then.within else " later"
    over = " (once that time is over)" if then.within and not then.happened else ""
    return f"{then.event}{where}{same}{soon}{over}"


def _where(where: tuple[Property, ...]) -> str:
    return " and ".join(f"{_a(part.name)} that {_tests(part.tests, part.type)}" for part in where)


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in tuple('aeio') else 'a'} {name}"


def _within(span: timedelta | None) -> str:
    """`within the last 90 days`, `within the last day`."""
    return f" within the last {spoken(span).removeprefix('1 ')}" if span else ""


def _window(window: Window) -> str:
    told = _within(window.within)
    if isinstance(window.since, Since):
        told += f" since their {window.since.edge} {window.since.event}"
    elif window.since is not None:
        told += f" since {_value(window.since, AttributeType.TIME)}"
    if window.before is not None:
        told += f" before {_value(window.before, AttributeType.TIME)}"
    if window.between is not None:
        first, second = (_value(moment, AttributeType.TIME) for moment in window.between)
        told += f" between {first} and {second}"
    return told


def _rfm(rfm: Rfm) -> str:
    told = []
    if rfm.bands:
        told.append(f"who are among the {' or '.join(name.replace('_', ' ') for name in rfm.bands)}")
    for asked in rfm.scores:
        told.append(f"whose {asked.score} score {_tests(asked.tests, AttributeType.NUMBER)}")
    money = f" with its {rfm.money} as money" if rfm.money else ""
    return f"{' and '.join(told)} by {rfm.event}{_within(rfm.within)}{money}"


def _on(channel: str | None) -> str:
    return f" by {channel}" if channel else ""

"""A condition as one plain English sentence, from the same tables that read and compile it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import assert_never

from engine.model import AttributeType
from engine.rules.measures import MEASURES
from engine.rules.operators import OPERATORS, Takes
from engine.rules.syntax import (
    Ago,
    All,
    AnyOf,
    Attribute,
    Condition,
    Did,
    InSegment,
    Not,
    Property,
    Test,
    Value,
)
from engine.scalars import spoken

MOST_SHOWN = 6
"""How many values of a list a sentence names."""


def sentence(condition: Condition) -> str:
    """`Those whose country is FI, but not those who did purchase within the last 90 days.` Names stand as in the rules."""
    told = f"{clause(condition)}."
    return told if told.startswith("everybody") else f"Those {told}" if told[0] == "w" else told[0].upper() + told[1:]


def clause(condition: Condition) -> str:
    """The sentence's inside: `who did purchase`, `whose country is FI`, `either who … or who …`."""
    match condition:
        case All():
            return _all(condition.of)
        case AnyOf():
            return _joined("either", [_nested(part) for part in condition.of], "or")
        case Not():
            return f"not those {_nested(condition.of)}"
        case InSegment():
            return f"who are in the segment {condition.segment}"
        case Attribute():
            return f"whose {condition.name} {tests(condition.tests, condition.type)}"
        case Did():
            return _did(condition)
        case _:
            assert_never(condition)


def tests(several: tuple[Test, ...], kind: AttributeType) -> str:
    """What a value must be: `is at least 2 and is less than 10`."""
    return " and ".join(_test(test, kind) for test in several)


def _test(test: Test, kind: AttributeType) -> str:
    operator = OPERATORS[test.operator, kind]
    match operator.takes:
        case Takes.YES_NO:
            return "is known" if test.values == (True,) else "is not known"
        case Takes.TWO:
            return f"lies between {value(test.values[0])} and {value(test.values[1])}"
        case Takes.MANY:
            listed = ", ".join(value(one) for one in test.values[:MOST_SHOWN])
            rest = f" and {len(test.values) - MOST_SHOWN:,} more" if len(test.values) > MOST_SHOWN else ""
            return f"{_phrase(operator.name)} {listed}{rest}"
        case Takes.ONE:
            return f"{_phrase(operator.name)} {value(test.values[0])}"


def _phrase(name: str) -> str:
    words = name.replace("_", " ")
    return {"in": "is one of", "not in": "is none of", "is not": "is other than", "contains": "contains"}.get(
        words, words if words.endswith(("s", "s with")) or words == "is" else f"is {words}"
    )


def value(written: Value) -> str:
    """One value of a rule, as the rule would write it."""
    match written:
        case bool():
            return "true" if written else "false"
        case Ago():
            return f"{spoken(written.span)} ago" if written.span else "now"
        case datetime():
            return written.isoformat(timespec="seconds").replace("+00:00", "Z")
        case date():
            return written.isoformat()
        case Decimal():
            return f"{written:f}"
        case str():
            return written
        case _:
            assert_never(written)


def _did(did: Did) -> str:
    within = f" within the last {spoken(did.within)}" if did.within else ""
    where = f" with {_where(did.where)}" if did.where else ""
    events = f"{did.event}{where}{within}"
    if did.measured is None:
        return f"who did {events}"
    measure, asked = MEASURES[did.measured.measure], did.measured
    checked = tests(asked.tests, measure.type)
    of = f" of {asked.of}" if asked.of else ""
    return f"whose {measure.name}{of} over {events} {checked}"


def _where(where: tuple[Property, ...]) -> str:
    return " and ".join(f"a {part.name} that {tests(part.tests, part.type)}" for part in where)


def _all(several: tuple[Condition, ...]) -> str:
    """What must hold first, then what must not, so that the sentence begins with whom it is about."""
    wanted = [part for part in several if not isinstance(part, Not)]
    unwanted = [part.of for part in several if isinstance(part, Not)]
    told = ", and ".join(_nested(part) for part in wanted) or "everybody"
    return told + "".join(f", but not those {_nested(part)}" for part in unwanted)


def _nested(condition: Condition) -> str:
    """A condition inside another: one of several parts stands in brackets, so that it can be read only one way."""
    told = clause(condition)
    several = isinstance(condition, All | AnyOf) and len(condition.of) > 1
    return f"({told})" if several else told


def _joined(first: str, several: list[str], word: str) -> str:
    return several[0] if len(several) == 1 else f"{first} {f', {word} '.join(several)}"

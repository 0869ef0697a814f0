"""`FI` or `{at_least: 2, less_than: 10}`: the tests that one value must pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import takewhile
from types import MappingProxyType

from engine.document import Items, Node, Pairs, Text
from engine.model import AttributeType
from engine.rules import operators, values
from engine.rules.operators import OPERATORS, Operator, Takes
from engine.rules.read.reading import Reading, advice
from engine.rules.syntax import Ago, At, Test, Value

MOST_VALUES = 1_000
"""So many values `in` takes; more belong into an attribute."""

_KINDS: Mapping[AttributeType, str] = MappingProxyType(
    {
        AttributeType.TEXT: "a text",
        AttributeType.NUMBER: "a number",
        AttributeType.BOOLEAN: "true or false",
        AttributeType.DATE: "a date",
        AttributeType.TIME: "a time",
        AttributeType.LIST: "a list",
    }
)
_EXAMPLES: Mapping[AttributeType, str] = MappingProxyType(
    {
        AttributeType.TEXT: "{is: FI}",
        AttributeType.NUMBER: "{at_least: 2}",
        AttributeType.BOOLEAN: "true",
        AttributeType.DATE: "{before: 2026-11-22}",
        AttributeType.TIME: "{before: 90 days ago}",
        AttributeType.LIST: "{contains: vinyl}",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is tested, as errors call it, and its type. `whole`: a count. `percent`: a number that may be written `10 %`. `short`:
    `country: FI` is short for `{is: FI}`.
    """

    name: str
    kind: AttributeType
    whole: bool = False
    short: bool = True
    percent: bool = False

    @property
    def says(self) -> str:
        return f'"{self.name}" is {"a count" if self.whole else _KINDS[self.kind]}'

    @property
    def example(self) -> str:
        return f"{self.name}: {_EXAMPLES[self.kind]}"


def read_tests(reading: Reading, node: Node, subject: Subject) -> tuple[Test, ...] | None:
    """All tests of one mapping, or the one that a plain value is short for."""
    match node:
        case Text(empty=True):
            reading.error(node.at, f'"{subject.name}" has no value.', f"Write for example `{subject.example}`.")
        case Text() if subject.short and ("is", subject.kind) in OPERATORS:
            value = _value(reading, node, subject)
            return None if value is None else (Test(operator="is", values=(value,), at=node.at),)
        case Text():
            remedy = f"Write for example `{subject.example}`."
            reading.error(node.at, f'"{subject.name}" needs an operator before "{node.value}".', remedy)
        case Items():
            lists = _with(subject.kind, Takes.MANY)
            written = f"{subject.name}: {{{lists}: {_shown(node)}}}" if lists else subject.example
            remedy = f"Write {'' if lists else 'for example '}`{written}`."
            reading.error(node.at, f'"{subject.name}" needs an operator before a list.', remedy)
        case Pairs(pairs=()):
            reading.error(node.at, f'"{subject.name}" has no operator.', f"Write for example `{subject.example}`.")
        case Pairs():
            return read_operators(reading, node.pairs, subject)
    return None


def read_operators(reading: Reading, pairs: tuple[tuple[Text, Node], ...], subject: Subject) -> tuple[Test, ...] | None:
    if (bare := _without_brackets(pairs, subject)) is not None:
        (key, first), takes = pairs[0], OPERATORS[pairs[0][0].value, subject.kind].takes
        reading.error(first.at, f'"{key.value}" takes {takes}.', f"Write `{key.value}: [{', '.join(bare)}]`.")
        return None
    if (parted := _parted(pairs, subject)) is not None:
        key, first, groups = parted
        what = f'"{",".join((first.value, *groups))}" cannot be read: the comma ends the number.'
        remedy = f"Write `{key.value}: {''.join((first.value, *groups))}`: a number has no thousands separators."
        reading.error(first.at, what, remedy)
        return None
    tests = [_test(reading, key, value, subject) for key, value in pairs]
    found = tuple(test for test in tests if test is not None)
    return found if found and len(found) == len(tests) else None


def _parted(pairs: tuple[tuple[Text, Node], ...], subject: Subject) -> tuple[Text, Text, tuple[str, ...]] | None:
    """The number of `{at_least: 1,000}`, which YAML reads as `{at_least: 1, 000: }`: its key, its beginning, and the rest."""
    for place, (key, first) in enumerate(pairs):
        groups = tuple(takewhile(_THOUSAND.fullmatch, (name.value for name, _ in pairs[place + 1 :])))
        if groups and isinstance(first, Text) and first.value.isdecimal() and subject.kind is AttributeType.NUMBER:
            return key, first, groups
    return None


_THOUSAND = re.compile(r"[0-9]{3}(\.[0-9]+)?")


def _without_brackets(pairs: tuple[tuple[Text, Node], ...], subject: Subject) -> list[str] | None:
    """The values of `{in: FI, SE}`, which YAML reads as `{in: FI, SE: }`."""
    (key, first), others = pairs[0], pairs[1:]
    operator = OPERATORS.get((key.value, subject.kind))
    if not others or operator is None or operator.takes not in (Takes.MANY, Takes.TWO) or not isinstance(first, Text):
        return None
    if any(name.value in operators.NAMES or not isinstance(value, Text) or not value.empty for name, value in others):
        return None
    return [first.value, *(name.value for name, _ in others)]


def _shown(items: Items) -> str:
    """A short list as it could be written; `[…]` for any other."""
    words = [item.value for item in items.items if isinstance(item, Text)]
    written = ", ".join(words)
    return f"[{written}]" if words and len(words) == len(items.items) and len(written) < 40 else "[…]"


def _with(kind: AttributeType, takes: Takes) -> str:
    return next((name for (name, taken), row in OPERATORS.items() if taken is kind and row.takes is takes), "")


def _test(reading: Reading, key: Text, node: Node, subject: Subject) -> Test | None:
    operator = OPERATORS.get((key.value, subject.kind))
    if operator is None:
        possible = operators.of_type(subject.kind)
        if key.value in operators.NAMES:
            what = f'"{key.value}" cannot be asked here: {subject.says}.'
            reading.error(key.at, what, f"It takes: {', '.join(possible)}.")
        else:
            reading.error(
                key.at, f'unknown operator "{key.value}".', advice(key.value, possible, operators.ALSO_CALLED)
            )
        return None
    read = _several if operator.takes in (Takes.MANY, Takes.TWO) else _single
    found = read(reading, node, operator, subject)
    return None if found is None else Test(operator=operator.name, values=found, at=key.at)


def _single(reading: Reading, node: Node, operator: Operator, subject: Subject) -> tuple[Value, ...] | None:
    if not isinstance(node, Text):
        several = _with(subject.kind, Takes.MANY)
        instead = f'write "{several}"' if several else f"put a `- {subject.name}: …` for each under `any:`"
        remedy = f"For several, {instead}." if isinstance(node, Items) else ""
        reading.error(node.at, f'"{operator.name}" takes {operator.takes}.', remedy)
        return None
    asked = Subject(name=operator.name, kind=AttributeType.BOOLEAN) if operator.takes is Takes.YES_NO else subject
    value = _value(reading, node, asked, operator, last=operator.name == "after")
    return None if value is None else (value,)


def _several(reading: Reading, node: Node, operator: Operator, subject: Subject) -> tuple[Value, ...] | None:
    if not isinstance(node, Items) or not node.items:
        written = node.value if isinstance(node, Text) and node.value else "…"
        example = f"[{written}]" if operator.takes is Takes.MANY else f"[{written}, …]"
        reading.error(node.at, f'"{operator.name}" takes {operator.takes}.', f"Write `{operator.name}: {example}`.")
        return None
    if operator.takes is Takes.TWO and len(node.items) != 2:
        reading.error(node.at, f'"{operator.name}" takes {operator.takes}; here there are {len(node.items)}.')
        return None
    if len(node.items) > MOST_VALUES:
        reading.error(
            node.at, f"more than {MOST_VALUES:,} values.", "Give these customers an attribute, and ask for that."
        )
        return None
    found = [
        _value(reading, item, subject, last=operator.takes is Takes.TWO and place == 1)
        for place, item in enumerate(node.items)
    ]
    read = tuple(value for value in found if value is not None)
    if len(read) < len(found):
        return None
    if operator.takes is Takes.TWO and backwards(read[0], read[1]):
        reading.error(node.at, f'"{operator.name}" goes backwards: nothing lies between these two.', "Swap them.")
        return None
    return read


def backwards(first: Value, second: Value) -> bool:
    match first, second:
        case (Ago(), Ago()):
            return first.span < second.span
        case (Decimal(), Decimal()):
            return first > second
        case (At(), At()):
            return first.instant > second.instant
        case (date(), date()):
            return first > second
    return False


_OF_ITS_OWN: Mapping[Takes, Callable[[str], Value]] = MappingProxyType(
    {Takes.DAYS: values.days_ahead, Takes.STEP: values.step}
)
"""Operators whose value is read in another way than what they are asked of."""


def _value(
    reading: Reading, node: Node, subject: Subject, operator: Operator | None = None, *, last: bool = False
) -> Value | None:
    """`last`: of a time for which only a day is written, the end of that day."""
    if not isinstance(node, Text):
        reading.error(node.at, "one value belongs here, not a list or a mapping.")
        return None
    if node.empty:
        reading.error(node.at, "a value is missing here.")
        return None
    if not node.value:
        remedy = "To ask whether there is any, write `{present: true}` or `{present: false}`."
        reading.error(node.at, "this text is empty.", remedy)
        return None
    own = _OF_ITS_OWN.get(operator.takes) if operator else None
    read = own or _reader(reading, subject, last)
    try:
        return read(node.value)
    except (ValueError, OverflowError) as error:
        told = str(error)
        what = f'"{node.value[:60]}" cannot be read: {subject.says}.'
        if operator and own:
            what = f'"{operator.name}" takes {operator.takes}, not "{node.value[:60]}".'
        reading.error(node.at, what, f"{told[0].upper()}{told[1:]}.")
        return None


def _reader(reading: Reading, subject: Subject, last: bool) -> Callable[[str], Value]:
    if subject.whole or subject.percent:
        return values.whole if subject.whole else values.in_percent
    times = values.last_point if last else values.point
    read = times if subject.kind is AttributeType.TIME else values.READERS[subject.kind]
    return lambda written: read(written, reading.vocabulary.time_zone)

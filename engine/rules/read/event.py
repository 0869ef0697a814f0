"""`did: purchase` and what stands beside it: how often, how much, how long ago, with which properties."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from engine.document import Items, Node, Pairs, Text, suggestion
from engine.model import AttributeType
from engine.rules import measures, operators
from engine.rules.measures import MEASURES, Measure
from engine.rules.read.reading import Reading, advice
from engine.rules.read.tests import Subject, read_operators, read_tests
from engine.rules.syntax import Did, Measured, Property
from engine.rules.values import span

PARTS: tuple[str, ...] = ("did", *MEASURES, "within", "where")
"""The keys of an event condition."""


def read_did(reading: Reading, pairs: Pairs, words: Collection[str]) -> Did | None:
    """The whole mapping that `did` stands in. `words` begin other conditions, and cannot stand in it."""
    before = len(reading.problems)
    name = _event_name(reading, pairs)
    known = reading.vocabulary.events.get(name or "")
    measured: Measured | None = None
    within: timedelta | None = None
    where: tuple[Property, ...] = ()
    for key, node in pairs:
        if key.value in MEASURES:
            measured = _measured(reading, key, node, MEASURES[key.value], name, known)
        elif key.value == "within":
            within = _within(reading, node)
        elif key.value == "where":
            where = _where(reading, node, name, known)
        elif key.value != "did":
            _wrong_part(reading, key, known, words)
    _one_measure(reading, pairs)
    if name is None or known is None or len(reading.problems) > before:
        return None
    return Did(event=name, within=within, where=where, measured=measured, at=pairs.at)


def _event_name(reading: Reading, pairs: Pairs) -> str | None:
    node = pairs.get("did")
    if isinstance(node, Items):
        reading.error(
            node.at, '"did" names one event.', "For several, put a `- did: …` for each under `any:` or `all:`."
        )
    elif not isinstance(node, Text) or node.empty:
        reading.error(node.at if node else pairs.at, '"did" names no event.', "Write for example `did: purchase`.")
    else:
        check_event(reading, node)
        return node.value
    return None


def check_event(reading: Reading, node: Text) -> None:
    """Note it where config.yaml declares no such event."""
    vocabulary = reading.vocabulary
    if node.value in vocabulary.events or vocabulary.cannot_tell("events", node.value):
        return
    hint = suggestion(node.value, vocabulary.events) or "config.yaml declares no events."
    reading.error(
        node.at, f'there is no event "{node.value}".', f"{hint} Events are declared in config.yaml under `events:`."
    )


def _one_measure(reading: Reading, pairs: Pairs) -> None:
    used = [key for key, _ in pairs if key.value in MEASURES]
    if len(used) > 1:
        what = f'"{used[0].value}" and "{used[1].value}" cannot stand in one condition.'
        reading.error(used[1].at, what, "Put each under a `- did: …` of its own.")


def _within(reading: Reading, node: Node) -> timedelta | None:
    if isinstance(node, Text) and not node.empty:
        try:
            return span(node.value)
        except ValueError as error:
            reading.error(node.at, f'"within": {error} (here: "{node.value[:60]}").')
            return None
    reading.error(node.at, '"within" takes a duration.', "Write for example `within: 90 days`.")
    return None


def _where(
    reading: Reading, node: Node, event: str | None, known: Mapping[str, AttributeType] | None
) -> tuple[Property, ...]:
    if not isinstance(node, Pairs) or not node.pairs:
        reading.error(
            node.at, '"where" names properties of the event.', "Write for example `where: {amount: {at_least: 50}}`."
        )
        return ()
    found = []
    for key, tests in node:
        kind = property_type(reading, key, event, known)
        read = read_tests(reading, tests, Subject(name=key.value, kind=kind)) if kind else None
        if kind and read:
            found.append(Property(name=key.value, type=kind, tests=read))
    return tuple(found)


def property_type(
    reading: Reading, name: Text, event: str | None, known: Mapping[str, AttributeType] | None
) -> AttributeType | None:
    """The type of an event's property; None, noted, where the event has no such property. Silent where the event is unknown."""
    if known is None or name.value in known:
        return known[name.value] if known else None
    hint = suggestion(name.value, known) or "It has no properties."
    reading.error(name.at, f'the event "{event}" has no property "{name.value}".', hint)
    return None


def _measured(
    reading: Reading,
    key: Text,
    node: Node,
    measure: Measure,
    event: str | None,
    known: Mapping[str, AttributeType] | None,
) -> Measured | None:
    example = _example(measure)
    if not isinstance(node, Pairs):
        written = f' "{node.value}"' if isinstance(node, Text) and node.value else ""
        reading.error(
            node.at,
            f'"{key.value}" needs an operator{" before" + written if written else ""}.',
            f"Write for example `{example}`.",
        )
        return None
    of = _measured_property(reading, key, node, measure, event, known)
    tests = tuple(pair for pair in node if pair[0].value != "of")
    if not tests:
        reading.error(node.at, f'"{key.value}" compares with nothing.', f"Write for example `{example}`.")
        return None
    subject = Subject(name=key.value, kind=measure.type, whole=measure.whole, short=False)
    absent = next((name for name, _ in tests if name.value == "present"), None)
    if absent:
        remedy = "Leave the measure out, or put `not:` before `did:` for customers who never did."
        reading.error(absent.at, f'"present" cannot be asked of "{key.value}".', remedy)
    read = read_operators(reading, tests, subject)
    return Measured(measure=measure.name, of=of, tests=read) if read else None


def _example(measure: Measure) -> str:
    of = "of: amount, " if measure.of else ""
    return f"{measure.name}: {{{of}{'before: 90 days ago' if measure.type is AttributeType.TIME else 'at_least: 2'}}}"


def _measured_property(
    reading: Reading,
    key: Text,
    pairs: Pairs,
    measure: Measure,
    event: str | None,
    known: Mapping[str, AttributeType] | None,
) -> str | None:
    node = pairs.get("of")
    if measure.of is None:
        if node:
            reading.error(node.at, f'"{key.value}" is taken of the events themselves: it has no "of".', "Leave it out.")
        return None
    if not isinstance(node, Text) or node.empty:
        numeric = next((name for name, kind in (known or {}).items() if kind is measure.of), "amount")
        reading.error(pairs.at, f'"{key.value}" does not say of which property.', f"Add `of: {numeric}`.")
        return None
    kind = property_type(reading, node, event, known)
    if kind and kind is not measure.of:
        fitting = [name for name, other in (known or {}).items() if other is measure.of]
        what = f'"{key.value}" needs a {measure.of}, and the property "{node.value}" is a {kind}.'
        reading.error(node.at, what, suggestion(node.value, fitting))
    return node.value


def _wrong_part(reading: Reading, key: Text, known: Mapping[str, AttributeType] | None, words: Collection[str]) -> None:
    word = key.value
    if known and word in known:
        what, remedy = f'"{word}" is a property of the event.', f"Put it under `where:`, as `where: {{{word}: …}}`."
    elif word in reading.vocabulary.attributes:
        what = f'"{word}" is about the customer, not about the event.'
        remedy = f"Make two conditions of it under `all:`, `- did: …` and `- {word}: …`."
    elif word in words:
        what = f'"{word}" cannot stand beside "did".'
        remedy = f"Make two conditions of it under `all:`, `- did: …` and `- {word}: …`."
    elif word in operators.NAMES:
        what, remedy = f'"{word}" does not say of what.', f"Write for example `times: {{{word}: …}}`."
    else:
        what, remedy = f'unknown key "{word}" beside "did".', advice(word, PARTS, measures.ALSO_CALLED)
    reading.error(key.at, what, remedy)

"""`times: {at_least: 2}`, `sum: {of: amount, among_best: 5 %}`: what is measured over the events or messages that count."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from engine.document import Node, Pairs, Text, suggestion
from engine.model import AttributeType
from engine.rules.measures import MEASURES, Measure
from engine.rules.read.reading import Reading
from engine.rules.read.tests import Subject, read_operators
from engine.rules.syntax import Measured
from engine.rules.values import percent

BEST = "among_best"
WITHOUT_PROPERTIES = tuple(name for name, row in MEASURES.items() if not row.of and not row.needs)
"""The measures that messages have, too."""


def read_measured(
    reading: Reading,
    pairs: Pairs,
    event: str | None,
    known: Mapping[str, AttributeType] | None,
    measures: Collection[str] = tuple(MEASURES),
) -> Measured | None:
    """The one measure of a condition; None where it has none, or a wrong one."""
    used = [(key, node) for key, node in pairs if key.value in measures]
    found = None
    for key, node in used:
        found = _measured(reading, key, node, MEASURES[key.value], event, known)
        needs = MEASURES[key.value].needs
        if needs and pairs.get(needs) is None:
            reading.error(key.at, f'"{key.value}" needs a "{needs}" beside it.', _NEEDED[needs])
    if len(used) > 1:
        what = f'"{used[0][0].value}" and "{used[1][0].value}" cannot stand in one condition.'
        reading.error(used[1][0].at, what, "Put each under a `- did: …` of its own.")
    return found


_NEEDED: Mapping[str, str] = {
    "where": "It says which of them are compared with all, as in `where: {amount: {at_least: 50}}`.",
    "within": "Its two halves are compared, as in `within: 180 days`.",
}


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
    of = _property(reading, key, node, measure, event, known)
    best = _best(reading, node, measure)
    tests = tuple(pair for pair in node if pair[0].value not in (("of", BEST) if _ranked(measure) else ("of",)))
    if not tests and best is None:
        if node.get(BEST) is None:
            reading.error(node.at, f'"{key.value}" compares with nothing.', f"Write for example `{example}`.")
        return None
    absent = next((name for name, _ in tests if name.value == "present"), None)
    if absent:
        remedy = "Leave the measure out, or put `not:` before `did:` for customers who never did."
        reading.error(absent.at, f'"present" cannot be asked of "{key.value}".', remedy)
    subject = Subject(name=key.value, kind=measure.type, whole=measure.whole, short=False)
    read = read_operators(reading, tests, subject) if tests else ()
    kind = (known or {}).get(of) if of else None
    return None if read is None else Measured(measure=measure.name, of=of, type=kind, tests=read, best=best)


def _ranked(measure: Measure) -> bool:
    return measure.type is AttributeType.NUMBER


def _best(reading: Reading, pairs: Pairs, measure: Measure) -> Decimal | None:
    node = pairs.get(BEST)
    if node is None or not _ranked(measure):
        return None
    if not isinstance(node, Text) or node.empty:
        reading.error(node.at, f'"{BEST}" takes a percentage.', f"Write for example `{BEST}: 5 %`.")
        return None
    try:
        return percent(node.value)
    except ValueError as error:
        reading.error(node.at, f'"{BEST}": {error} (here: "{node.value[:60]}").')
        return None


def _example(measure: Measure) -> str:
    of = "of: amount, " if measure.of else ""
    return f"{measure.name}: {{{of}{'before: 90 days ago' if measure.type is AttributeType.TIME else 'at_least: 2'}}}"


def _property(
    reading: Reading,
    key: Text,
    pairs: Pairs,
    measure: Measure,
    event: str | None,
    known: Mapping[str, AttributeType] | None,
) -> str | None:
    node = pairs.get("of")
    if not measure.of:
        if node:
            reading.error(node.at, f'"{key.value}" is taken of the events themselves: it has no "of".', "Leave it out.")
        return None
    fitting = [name for name, kind in (known or {}).items() if kind in measure.of]
    if not isinstance(node, Text) or node.empty:
        reading.error(
            pairs.at,
            f'"{key.value}" does not say of which property.',
            f"Add `of: {fitting[0] if fitting else 'amount'}`.",
        )
        return None
    kind = property_type(reading, node, event, known)
    if kind and kind not in measure.of:
        wanted = "number" if len(measure.of) == 1 else "single value"
        what = f'"{key.value}" needs a {wanted}, and the property "{node.value}" is a {kind}.'
        reading.error(node.at, what, suggestion(node.value, fitting))
    return node.value


def property_type(
    reading: Reading, name: Text, event: str | None, known: Mapping[str, AttributeType] | None
) -> AttributeType | None:
    """The type of an event's property; None, noted, where the event has no such property. Silent where the event is unknown."""
    if known is None or name.value in known:
        return known[name.value] if known else None
    hint = suggestion(name.value, known) or "It has no properties."
    reading.error(name.at, f'the event "{event}" has no property "{name.value}".', hint)
    return None

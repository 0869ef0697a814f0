"""`did: purchase` and what stands beside it: how often, how much, how long ago, with which properties, followed by what."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engine.document import Items, Node, Pairs, Text, suggestion
from engine.model import AttributeType
from engine.rules import measures, operators
from engine.rules.measures import MEASURES
from engine.rules.read import window
from engine.rules.read.measured import property_type, read_measured
from engine.rules.read.reading import Reading, advice
from engine.rules.read.tests import Subject, read_tests
from engine.rules.read.window import check_event, read_span, read_window
from engine.rules.syntax import Did, Property, Then

FOLLOWED = {"then": True, "then_not": False}
PARTS: tuple[str, ...] = ("did", *MEASURES, *window.PARTS, "where", *FOLLOWED)
"""The keys of an event condition."""
THEN_PARTS = ("did", "within", "where", "same")

Known = Mapping[str, AttributeType] | None


def read_did(reading: Reading, pairs: Pairs, words: Collection[str]) -> Did | None:
    """The whole mapping that `did` stands in. `words` begin other conditions, and cannot stand in it."""
    before = len(reading.problems)
    name = _event_name(reading, pairs)
    known = reading.vocabulary.events.get(name or "")
    measured = read_measured(reading, pairs, name, known)
    seen = read_window(reading, pairs)
    where = _where(reading, pairs, name, known)
    then = tuple(
        _then(reading, key, node, name, known, happened=FOLLOWED[key.value])
        for key, node in pairs
        if key.value in FOLLOWED
    )
    for key, _ in pairs:
        if key.value not in PARTS:
            _wrong_part(reading, key, known, words)
    if name is None or known is None or len(reading.problems) > before or None in then:
        return None
    return Did(
        event=name,
        within=seen.within,
        since=seen.since,
        before=seen.before,
        between=seen.between,
        where=where,
        measured=measured,
        then=tuple(one for one in then if one is not None),
        at=pairs.at,
        places={key.value: key.at for key, _ in pairs},
    )


def _event_name(reading: Reading, pairs: Pairs, head: str = "did") -> str | None:
    node = pairs.get(head)
    if isinstance(node, Items):
        reading.error(
            node.at, '"did" names one event.', "For several, put a `- did: …` for each under `any:` or `all:`."
        )
    elif not isinstance(node, Text) or node.empty:
        reading.error(
            node.at if node else pairs.at, f'"{head}" names no event.', f"Write for example `{head}: purchase`."
        )
    else:
        check_event(reading, node)
        return node.value
    return None


def _where(reading: Reading, pairs: Pairs, event: str | None, known: Known) -> tuple[Property, ...]:
    node = pairs.get("where")
    if node is None:
        return ()
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


def _then(
    reading: Reading, key: Text, node: Node, first: str | None, first_known: Known, *, happened: bool
) -> Then | None:
    if not isinstance(node, Pairs) or not node.pairs:
        event = f"did: {node.value}" if isinstance(node, Text) and node.value else "did: purchase"
        remedy = f"Write for example `{key.value}: {{{event}, within: 2 hours}}`."
        reading.error(node.at, f'"{key.value}" takes what was done next.', remedy)
        return None
    before = len(reading.problems)
    name = _event_name(reading, node)
    known = reading.vocabulary.events.get(name or "")
    span = node.get("within")
    within = read_span(reading, span) if span else None
    where = _where(reading, node, name, known)
    same = _same(reading, node.get("same"), (first, first_known), (name, known))
    for part, _ in node:
        if part.value not in THEN_PARTS:
            hint = suggestion(part.value, THEN_PARTS)
            reading.error(part.at, f'unknown key "{part.value}" under "{key.value}".', hint)
    if name is None or known is None or len(reading.problems) > before:
        return None
    return Then(event=name, happened=happened, within=within, where=where, same=same, at=key.at)


def _same(
    reading: Reading, node: Node | None, first: tuple[str | None, Known], second: tuple[str | None, Known]
) -> tuple[tuple[str, AttributeType], ...]:
    """Properties in which both events agree; both have them, of one type that can be equal."""
    if node is None:
        return ()
    names = node.items if isinstance(node, Items) else (node,)
    found = []
    for name in names:
        if not isinstance(name, Text) or name.empty:
            remedy = "Write for example `same: basket`."
            reading.error(name.at, '"same" names properties that both events have.', remedy)
            continue
        kinds = [property_type(reading, name, event, known) for event, known in (first, second)]
        kind = kinds[0]
        if kind is None or kinds[1] is None:
            continue
        if kind is not kinds[1] or kind is AttributeType.LIST:
            what = (
                f'"{name.value}" cannot be compared: it is a {kind} of "{first[0]}" and a {kinds[1]} of "{second[0]}".'
            )
            reading.error(name.at, what, "Both must have the same type, and none be a list.")
            continue
        found.append((name.value, kind))
    return tuple(found)


def _asked_of(word: str) -> str:
    """Where a test of this name may stand: of how many there are, of when the last was, else of a property."""
    types = {kind for name, kind in operators.OPERATORS if name == word}
    if AttributeType.NUMBER in types:
        return f"times: {{{word}: …}}"
    return f"last: {{{word}: …}}" if AttributeType.TIME in types else f"where: {{PROPERTY: {{{word}: …}}}}"


def _wrong_part(reading: Reading, key: Text, known: Known, words: Collection[str]) -> None:
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
        what, remedy = f'"{word}" does not say of what.', f"Write for example `{_asked_of(word)}`."
    else:
        what, remedy = f'unknown key "{word}" beside "did".', advice(word, PARTS, measures.ALSO_CALLED)
    reading.error(key.at, what, remedy)

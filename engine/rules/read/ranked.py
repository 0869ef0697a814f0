"""Conditions on a customer's lot (`lot: {of: spring, less_than: 10}`) and on RFM (`rfm: purchase`, with its scores beside it)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engine.document import Items, Node, Pairs, Text
from engine.model import AttributeType
from engine.rules.read.measured import property_type
from engine.rules.read.parts import known_name, name_under, no_others
from engine.rules.read.reading import Reading
from engine.rules.read.tests import Subject, read_operators, read_tests
from engine.rules.read.window import check_event, read_span
from engine.rules.rfm import BANDS, SCORES
from engine.rules.syntax import Lot, Rfm, Scored

MONEY, BAND, WITHIN = "money", "band", "within"
PARTS = (*SCORES, BAND, MONEY, WITHIN)
NEED_MONEY = ("monetary", "total")


def read_lot(reading: Reading, key: Text, node: Node) -> Lot | None:
    """Which draw, and the tests of the number drawn."""
    example = "Write for example `lot: {of: spring-test, less_than: 10}`."
    if not isinstance(node, Pairs) or node.get("of") is None:
        reading.error(node.at, '"lot" does not say of which draw.', example)
        return None
    before = len(reading.problems)
    name = name_under(reading, node.get("of"), "of", "spring-test")
    tests = tuple(pair for pair in node if pair[0].value != "of")
    if not tests:
        reading.error(node.at, '"lot" compares with nothing.', example)
        return None
    read = read_operators(reading, tests, Subject(name="lot", kind=AttributeType.NUMBER, short=False, percent=True))
    if name is None or read is None or len(reading.problems) > before:
        return None
    return Lot(of=name.value, tests=read, at=key.at)


def read_rfm(reading: Reading, pairs: Pairs, key: Text, node: Node, words: Collection[str]) -> Rfm | None:
    """The event, the property that is its money, and the scores or bands asked for."""
    before = len(reading.problems)
    name = name_under(reading, node, key.value, "purchase")
    known = reading.vocabulary.events.get(name.value) if name else None
    if name is not None:
        check_event(reading, name)
    money = _money(reading, pairs.get(MONEY), name.value if name else None, known)
    within = pairs.get(WITHIN)
    scores = tuple(
        Scored(score=part.value, tests=tests)
        for part, value in pairs
        if part.value in SCORES
        if (tests := read_tests(reading, value, Subject(name=part.value, kind=AttributeType.NUMBER, whole=True)))
    )
    for part, _ in pairs:
        if part.value in NEED_MONEY and pairs.get(MONEY) is None:
            remedy = "Add for example `money: amount`."
            reading.error(part.at, f'"{part.value}" needs "money": the property that says how much.', remedy)
    bands = _bands(reading, pairs.get(BAND))
    if not any(part in pairs.keys() for part in (*SCORES, BAND)):  # noqa: SIM118  (Pairs is no dict)
        remedy = "Add for example `band: champions` or `recency: {at_least: 4}`."
        reading.error(pairs.at, '"rfm" asks for nothing.', remedy)
    no_others(reading, pairs, key.value, PARTS, words)
    span = read_span(reading, within) if within else None
    if name is None or known is None or len(reading.problems) > before:
        return None
    return Rfm(event=name.value, money=money, within=span, scores=scores, bands=bands, at=pairs.at)


def _money(
    reading: Reading, node: Node | None, event: str | None, known: Mapping[str, AttributeType] | None
) -> str | None:
    if node is None:
        return None
    name = name_under(reading, node, MONEY, "amount")
    if name is None or known is None:
        return name.value if name else None
    kind = property_type(reading, name, event, known)
    if kind and kind is not AttributeType.NUMBER:
        reading.error(name.at, f'"{MONEY}" needs a number, and the property "{name.value}" is a {kind}.')
    return name.value


def _bands(reading: Reading, node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    found = []
    for item in node.items if isinstance(node, Items) else (node,):
        name = name_under(reading, item, BAND, "champions")
        if name is not None and known_name(reading, name, "band", BANDS):
            found.append(name.value)
    if isinstance(node, Items) and not node.items:
        reading.error(node.at, f'"{BAND}" names no band.', "Write for example `band: champions`.")
    return tuple(found)

"""`within`, `since`, `before`, `between`: which events or messages count by their time."""

from __future__ import annotations

from datetime import timedelta

from engine.document import Items, Node, Pairs, Text, suggestion
from engine.rules import values
from engine.rules.read.reading import Reading
from engine.rules.read.tests import backwards
from engine.rules.syntax import Moment, Since, Window

PARTS = ("within", "since", "before", "between")
EDGES = ("last", "first")


def read_window(reading: Reading, pairs: Pairs) -> Window:
    """The window that a mapping's keys describe."""
    within, since = pairs.get("within"), pairs.get("since")
    before, between = pairs.get("before"), pairs.get("between")
    return Window(
        within=read_span(reading, within) if within else None,
        since=_since(reading, since) if since else None,
        before=_moment(reading, before, "before") if before else None,
        between=_between(reading, between) if between else None,
    )


def read_span(reading: Reading, node: Node, word: str = "within") -> timedelta | None:
    if isinstance(node, Text) and not node.empty:
        try:
            return values.span(node.value)
        except ValueError as error:
            reading.error(node.at, f'"{word}": {error} (here: "{node.value[:60]}").')
            return None
    reading.error(node.at, f'"{word}" takes a duration.', f"Write for example `{word}: 90 days`.")
    return None


def _moment(reading: Reading, node: Node, word: str, *, last: bool = False) -> Moment | None:
    """`last`: it counts itself, and a day alone counts whole."""
    if not isinstance(node, Text) or node.empty:
        reading.error(node.at, f'"{word}" takes a time.', f"Write for example `{word}: 90 days ago`.")
        return None
    read = values.last_point if last else values.point
    try:
        return read(node.value, reading.vocabulary.time_zone)
    except (ValueError, OverflowError) as error:
        reading.error(node.at, f'"{word}": {error} (here: "{node.value[:60]}").')
        return None


def _between(reading: Reading, node: Node) -> tuple[Moment, Moment] | None:
    if not isinstance(node, Items) or len(node.items) != 2:
        example = "Write for example `between: [90 days ago, 30 days ago]`."
        reading.error(node.at, '"between" takes two times, [from, to].', example)
        return None
    first = _moment(reading, node.items[0], "between")
    second = _moment(reading, node.items[1], "between", last=True)
    if first is None or second is None:
        return None
    if backwards(first, second):
        reading.error(node.at, '"between" goes backwards: nothing lies between these two.', "Swap them.")
        return None
    return first, second


def _since(reading: Reading, node: Node) -> Moment | Since | None:
    if not isinstance(node, Pairs):
        return _moment(reading, node, "since")
    if len(node.pairs) != 1 or node.pairs[0][0].value not in EDGES:
        wrong = next((key for key, _ in node if key.value not in EDGES), None)
        remedy = "Write `since: {last: purchase}`, `since: {first: purchase}` or `since: 90 days ago`."
        reading.error(wrong.at if wrong else node.at, '"since" takes a time, or the last or first of an event.', remedy)
        return None
    edge, event = node.pairs[0]
    if not isinstance(event, Text) or event.empty:
        reading.error(event.at, f'"{edge.value}" names no event.', f"Write for example `{edge.value}: purchase`.")
        return None
    return Since(edge=edge.value, event=event.value) if check_event(reading, event) else None


def check_event(reading: Reading, node: Text) -> bool:
    """Whether config.yaml declares such an event; noted where it does not."""
    vocabulary = reading.vocabulary
    if node.value in vocabulary.events or vocabulary.cannot_tell("events", node.value):
        return node.value in vocabulary.events
    hint = suggestion(node.value, vocabulary.events) or "config.yaml declares no events."
    reading.error(
        node.at, f'there is no event "{node.value}".', f"{hint} Events are declared in config.yaml under `events:`."
    )
    return False

"""A condition at any depth: `all`, `any`, `none`, `not`, `segment`, `did`, or a customer's attribute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from engine.document import Items, Node, Pairs, Position, Text, suggestion
from engine.rules.messages import REACHED
from engine.rules.read import event, message, ranked, standing
from engine.rules.read.event import PARTS, read_did
from engine.rules.read.message import read_got
from engine.rules.read.ranked import read_lot, read_rfm
from engine.rules.read.reading import Reading, advice
from engine.rules.read.standing import read_consented, read_on_list, read_reachable
from engine.rules.read.tests import Subject, read_tests
from engine.rules.syntax import All, AnyOf, Attribute, Condition, InSegment, Not


class Holds(StrEnum):
    """What stands under a word of the language."""

    CONDITIONS = "a list of conditions"
    CONDITION = "one condition"
    SEGMENT = "a segment's name"
    EVENT = "an event's name, with its parts beside it"
    CAMPAIGN = "a campaign's name or `any`, with its parts beside it"
    PURPOSE = "a purpose's name, with its parts beside it"
    CHANNEL = "a channel"
    LIST = "the name of a file in rules/lists/"
    LOT = "the name of a draw, and tests of the number drawn"
    RFM = "an event's name, with scores or bands beside it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A word that begins a condition. `read` is given the whole mapping it stands in, its key, and what stands under it.

    `parts`: what may stand beside it; such a word has its mapping for itself.
    """

    name: str
    says: str
    holds: Holds
    read: Callable[[Reading, Pairs, Text, Node], Condition | None]
    parts: tuple[str, ...] = ()


def read_condition(reading: Reading, node: Node) -> Condition | None:
    """One condition. Several keys in one mapping must all hold; a word with parts, as `did`, has its mapping for itself."""
    match node:
        case Pairs(pairs=()) | Text(empty=True):
            reading.error(
                node.at, "a condition is missing here.", "Write for example `country: FI` or `did: purchase`."
            )
        case Text():
            _bare_word(reading, node)
        case Items():
            remedy = "Put `all:` (each of them holds) or `any:` (one of them holds) above the list."
            reading.error(node.at, "a list of conditions needs a word above it.", remedy)
            _group(reading, node)
        case Pairs() if heads := [(key, value) for key, value in node if key.value in HEADS]:
            key, value = next((pair for pair in heads if pair[0].value == "did"), heads[0])
            return CONDITIONS[key.value].read(reading, node, key, value)
        case Pairs():
            found = [_entry(reading, node, key, value) for key, value in node]
            read = tuple(condition for condition in found if condition is not None)
            if len(read) == len(found):
                return read[0] if len(read) == 1 else All(of=read, at=node.at)
    return None


def _entry(reading: Reading, pairs: Pairs, key: Text, value: Node) -> Condition | None:
    word = CONDITIONS.get(key.value)
    return word.read(reading, pairs, key, value) if word else _attribute(reading, key, value)


def _attribute(reading: Reading, key: Text, node: Node) -> Condition | None:
    kind = reading.vocabulary.attributes.get(key.value)
    if kind is None:
        _unknown_word(reading, key, node)
        return None
    tests = read_tests(reading, node, Subject(name=key.value, kind=kind))
    return Attribute(name=key.value, type=kind, tests=tests, at=key.at) if tests else None


def _group(reading: Reading, node: Items) -> tuple[Condition, ...] | None:
    found = [read_condition(reading, item) for item in node.items]
    read = tuple(condition for condition in found if condition is not None)
    return read if len(read) == len(found) else None


def _grouped(make: Callable[[tuple[Condition, ...], Position], Condition]) -> Callable[..., Condition | None]:
    def read(reading: Reading, _pairs: Pairs, key: Text, node: Node) -> Condition | None:
        if isinstance(node, Items) and node.items:
            group = _group(reading, node)
            return make(group, key.at) if group else None
        empty = (isinstance(node, Text) and node.empty) or (isinstance(node, Items) and not node.items)
        what = "has nothing under it" if empty else "takes a list of conditions"
        reading.error(node.at, f'"{key.value}" {what}.', "Put conditions under it, and begin each with `- `.")
        if isinstance(node, Pairs) and node.pairs:
            read_condition(reading, node)
        return None

    return read


def _not(reading: Reading, _pairs: Pairs, key: Text, node: Node) -> Condition | None:
    if isinstance(node, Items):
        reading.error(node.at, '"not" takes one condition.', "For a list, write `none:` (no one of them holds).")
        _group(reading, node)
        return None
    inner = read_condition(reading, node)
    return Not(of=inner, at=key.at) if inner else None


def _segment(reading: Reading, _pairs: Pairs, key: Text, node: Node) -> Condition | None:
    if not isinstance(node, Text) or node.empty:
        remedy = "For several, put a `- segment: …` for each under `any:` or `all:`." if isinstance(node, Items) else ""
        reading.error(node.at, '"segment" takes the name of one segment.', remedy)
        return None
    if not check_segment(reading, node):
        return None
    return InSegment(segment=node.value, at=node.at)


def check_segment(reading: Reading, node: Text) -> bool:
    """Whether there is such a segment; noted where there is none."""
    if node.value in reading.vocabulary.segments or reading.vocabulary.cannot_tell("segments", node.value):
        return node.value in reading.vocabulary.segments
    hint = suggestion(node.value, reading.vocabulary.segments) or "The workspace has no segments yet."
    reading.error(node.at, f'there is no segment "{node.value}".', hint)
    return False


def _did(reading: Reading, pairs: Pairs, _key: Text, _node: Node) -> Condition | None:
    return read_did(reading, pairs, CONDITIONS)


def _got(reading: Reading, pairs: Pairs, key: Text, node: Node) -> Condition | None:
    return read_got(reading, pairs, key, node, CONDITIONS)


def _consented(reading: Reading, pairs: Pairs, key: Text, node: Node) -> Condition | None:
    return read_consented(reading, pairs, key, node, CONDITIONS)


def _rfm(reading: Reading, pairs: Pairs, key: Text, node: Node) -> Condition | None:
    return read_rfm(reading, pairs, key, node, CONDITIONS)


def _alone(read: Callable[[Reading, Text, Node], Condition | None]) -> Callable[..., Condition | None]:
    """A word without parts, which may stand among others."""
    return lambda reading, _pairs, key, node: read(reading, key, node)


CONDITIONS: Mapping[str, Word] = MappingProxyType(
    {
        word.name: word
        for word in (
            Word(name="all", says="each of these holds", holds=Holds.CONDITIONS, read=_grouped(lambda of, at: All(of=of, at=at))),
            Word(name="any", says="at least one of these holds", holds=Holds.CONDITIONS, read=_grouped(lambda of, at: AnyOf(of=of, at=at))),
            Word(name="none", says="no one of these holds", holds=Holds.CONDITIONS, read=_grouped(lambda of, at: Not(of=AnyOf(of=of, at=at), at=at))),
            Word(name="not", says="this does not hold, or cannot be told", holds=Holds.CONDITION, read=_not),
            Word(name="segment", says="the customer is in this segment", holds=Holds.SEGMENT, read=_segment),
            Word(name="did", says="the customer has done this", holds=Holds.EVENT, read=_did, parts=event.PARTS[1:]),
            *(Word(name=row.name, says=f"the customer {row.says}", holds=Holds.CAMPAIGN, read=_got, parts=message.PARTS) for row in REACHED.values()),
            Word(name="agreed_to", says="the customer said yes to this purpose, and no no since", holds=Holds.PURPOSE, read=_consented, parts=standing.PARTS),
            Word(name="refused", says="the customer said no to this purpose, and no yes since", holds=Holds.PURPOSE, read=_consented, parts=standing.PARTS),
            Word(name="reachable_by", says="there is an address on this channel, and it is not suppressed", holds=Holds.CHANNEL, read=_alone(read_reachable)),
            Word(name="on_list", says="the customer's id is in this file of rules/lists/", holds=Holds.LIST, read=_alone(read_on_list)),
            Word(name="lot", says="the number from 0 to 99.99 that the customer drew, once and for all", holds=Holds.LOT, read=_alone(read_lot)),
            Word(name="rfm", says="scores 1 to 5 of recency, frequency and money among all who did this", holds=Holds.RFM, read=_rfm, parts=ranked.PARTS),
        )
    }
)  # fmt: skip
"""The words that begin a condition; every other key is the name of an attribute."""

HEADS = frozenset(name for name, word in CONDITIONS.items() if word.parts)
"""The words with parts beside them."""

ALSO_CALLED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("and", "every", "both", "each"), "all"),
        **dict.fromkeys(("or", "either", "some", "one_of"), "any"),
        **dict.fromkeys(("nor", "neither"), "none"),
        **dict.fromkeys(("no", "isnt", "without", "except"), "not"),
        **dict.fromkeys(("in_segment", "member", "member_of"), "segment"),
        **dict.fromkeys(("list", "in_list", "file"), "on_list"),
        **dict.fromkeys(("sent", "got", "was_written_to"), "was_sent"),
        **dict.fromkeys(("delivered", "was_delivered"), "received"),
        **dict.fromkeys(("read", "has_opened"), "opened"),
        **dict.fromkeys(("click", "clicked_in"), "clicked"),
        **dict.fromkeys(("replied", "answered"), "replied_to"),
        **dict.fromkeys(("agreed", "consented", "consented_to", "consent", "opted_in"), "agreed_to"),
        **dict.fromkeys(("opted_out", "opted_out_of", "refused_to", "unsubscribed"), "refused"),
        **dict.fromkeys(("reachable", "reachable_on", "has_address"), "reachable_by"),
        **dict.fromkeys(("percent", "percentage", "sample", "random", "bucket"), "lot"),
        **dict.fromkeys(("event", "has_done", "done", "has", "does", "do"), "did"),
    }
)


def _bare_word(reading: Reading, node: Text) -> None:
    vocabulary, word = reading.vocabulary, node.value
    if word in vocabulary.segments:
        remedy = f"Write `segment: {word}`."
    elif word in vocabulary.events:
        remedy = f"Write `did: {word}`."
    else:
        remedy = "Write for example `country: FI`, `did: purchase` or `segment: name`."
    reading.error(node.at, f'"{word[:60]}" alone is no condition.', remedy)


def _unknown_word(reading: Reading, key: Text, node: Node) -> None:
    vocabulary, word = reading.vocabulary, key.value
    if word in PARTS:
        what, remedy = f'"{word}" needs a "did" beside it.', "Put both into one condition, in the same column."
    elif word in ("never", "did_not", "never_did"):
        event = node.value if isinstance(node, Text) and not node.empty else "purchase"
        what, remedy = f'unknown word "{word}".', f"Write `not: {{did: {event}}}`."
    elif word in vocabulary.events:
        what, remedy = f'"{word}" is an event, not an attribute.', f"Write `did: {word}`."
    elif word in vocabulary.segments:
        what, remedy = f'"{word}" is a segment, not an attribute.', f"Write `segment: {word}`."
    elif word.lower() in CONDITIONS:
        what, remedy = f'unknown word "{word}".', f'Here it is written "{word.lower()}".'
    elif word.lower() in ALSO_CALLED:
        what, remedy = f'unknown word "{word}".', advice(word, CONDITIONS, ALSO_CALLED)
    elif vocabulary.cannot_tell("attributes", word):
        return
    else:
        hint = suggestion(word, (*vocabulary.attributes, *CONDITIONS))
        hint = hint if hint.startswith("Did") else suggestion(word, vocabulary.attributes)
        what = f'there is no attribute "{word}".'
        remedy = f"{hint} Attributes are declared in config.yaml under `attributes:`."
    reading.error(key.at, what, remedy)

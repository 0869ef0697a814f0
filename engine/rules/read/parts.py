"""What conditions with parts beside them share: their first word's name, a channel, and keys that do not belong there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from engine.document import Items, Node, Pairs, Text, suggestion
from engine.model import Channel
from engine.rules.read.reading import Reading, advice

ON = "on"


def name_under(reading: Reading, node: Node | None, head: str, example: str) -> Text | None:
    """The one name that stands under a word."""
    if isinstance(node, Text) and not node.empty:
        return node
    several = " For several, put a condition for each under `any:` or `all:`." if isinstance(node, Items) else ""
    if node is not None:
        reading.error(node.at, f'"{head}" takes one name.', f"Write for example `{head}: {example}`.{several}")
    return None


def known_name(reading: Reading, name: Text, noun: str, known: Iterable[str], where: str = "") -> bool:
    """Whether there is such a thing; noted where there is none."""
    names = frozenset(known)
    if name.value in names:
        return True
    hint = suggestion(name.value, names) or f"There are no {noun}s yet."
    reading.error(name.at, f'there is no {noun} "{name.value}".', f"{hint} {where}".strip())
    return False


def channel_under(reading: Reading, node: Node, head: str) -> Channel | None:
    name = name_under(reading, node, head, "email")
    if name is None or not known_name(reading, name, "channel", (channel.value for channel in Channel)):
        return None
    return Channel(name.value)


def channel_on(reading: Reading, pairs: Pairs) -> Channel | None:
    """`on: email`."""
    node = pairs.get(ON)
    return None if node is None else channel_under(reading, node, ON)


def no_others(
    reading: Reading,
    pairs: Pairs,
    head: str,
    parts: Collection[str],
    words: Collection[str],
    also_called: Mapping[str, str] | None = None,
) -> None:
    """Note every key that is no part of the condition that `head` begins. `words` begin other conditions."""
    for key, _ in pairs:
        word = key.value
        if word == head or word in parts:
            continue
        if word in words or word in reading.vocabulary.attributes:
            remedy = f"Make two conditions of it under `all:`, `- {head}: …` and `- {word}: …`."
            reading.error(key.at, f'"{word}" cannot stand beside "{head}".', remedy)
        else:
            hint = advice(word, (head, *parts), also_called or {})
            reading.error(key.at, f'unknown key "{word}" beside "{head}".', hint)

"""`lapsing: {description: …, who: …}`: one named condition."""

from __future__ import annotations

from engine.document import Node, Pairs, Text, suggestion
from engine.rules.read.condition import CONDITIONS, read_condition
from engine.rules.read.reading import Reading
from engine.rules.syntax import Segment
from engine.scalars import slug

KEYS = ("description", "who")


def read_segment(reading: Reading, name: Text, node: Node) -> Segment | None:
    """One segment under its name."""
    before = len(reading.problems)
    check_name(reading, name)
    if not isinstance(node, Pairs):
        reading.error(
            node.at,
            f'the segment "{name.value}" has no condition.',
            "Put `who:` under its name, and the condition under that.",
        )
        return None
    for key, _ in node:
        if key.value not in KEYS:
            remedy = (
                "Put the condition under `who:`." if _belongs_under_who(reading, key) else suggestion(key.value, KEYS)
            )
            reading.error(key.at, f'unknown key "{key.value}" in the segment "{name.value}".', remedy)
    description = node.get("description")
    if description is not None and not isinstance(description, Text):
        reading.error(description.at, '"description" takes one text.')
    who = node.get("who")
    if who is None:
        if not any(_belongs_under_who(reading, key) for key, _ in node):
            reading.error(
                name.at,
                f'the segment "{name.value}" has no "who".',
                "Put `who:` under its name, and the condition under that.",
            )
        return None
    condition = read_condition(reading, who)
    if condition is None or len(reading.problems) > before:
        return None
    said = description.value if isinstance(description, Text) and not description.empty else ""
    return Segment(name=name.value, description=said, who=condition, at=name.at)


def check_name(reading: Reading, name: Text) -> None:
    """Note a segment's name that cannot be used."""
    if name.value == "public":
        reading.error(
            name.at,
            'a segment cannot be called "public".',
            "As an audience the word means everybody, without any customer.",
        )
        return
    try:
        slug(name.value)
    except ValueError as error:
        reading.error(name.at, f'"{name.value[:60]}" cannot be a name: {error}.')


def _belongs_under_who(reading: Reading, key: Text) -> bool:
    return key.value in CONDITIONS or key.value in reading.vocabulary.attributes

"""The parser's events become a tree. What only makes trouble is noted, and read on as it was meant, so that it hides nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from engine.document.tree import Items, Node, Pairs, Text
from engine.errors import Position, Problem

MAX_DEPTH = 50
MAX_REPEATED = 1_000
"""So many values may stand once more in a file because of its aliases: they are refused, and small files that grow to billions
of lines are not read to their end.
"""
_MERGE = "<<"


class Unreadable(Exception):
    """The rest of the file is not looked at; why stands among the problems."""


class Builder:
    """One file's trees, a tree a document. `moved`: by how many columns lines were moved to the right before they were parsed.

    A repeated key is in its mapping as often as it stands in the file; `most_repeated` is how often one stands there at most.
    """

    def __init__(self, file: str, moved: Mapping[int, int]) -> None:
        self.file, self.moved = file, moved
        self.roots: list[Node] = []
        self.problems: list[Problem] = []
        self.most_repeated = 1
        self._anchored: dict[str, tuple[Node, int]] = {}
        self._values = self._repeated = 0

    def build(self, events: Iterable[Any]) -> None:
        """Raises Unreadable, and what the parser raises."""
        self._events = iter(events)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if self.roots:
                    self._note(self._at(event), "a second YAML document begins here.", "Use one file for each.")
                self.roots.append(self._node(next(self._events), 0))

    def _note(self, at: Position, what: str, remedy: str = "") -> None:
        self.problems.append(Problem(at=at, what=what, remedy=remedy))

    def _at(self, event: Any) -> Position:
        line, column = event.start_mark.line, event.start_mark.column
        return Position(file=self.file, line=line + 1, column=column + 1 - self.moved.get(line, 0))

    def _node(self, event: Any, depth: int) -> Node:
        at = self._at(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, at)
        if depth > MAX_DEPTH:
            remedy = "Close what is open, or give an inner part a segment of its own and name that."
            self._note(at, f"this is nested deeper than {MAX_DEPTH} levels.", remedy)
            raise Unreadable
        if event.anchor is not None:
            self._note_anchor(at)
        if event.tag is not None:
            self._note(at, "tags (!) are not used here.", "Quote the text if it begins with !.")
        before = self._values
        self._values += 1
        built = self._built(event, at, depth)
        if event.anchor is not None:
            self._anchored[event.anchor] = built, self._values - before
        return built

    def _built(self, event: Any, at: Position, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return Text(event.value, at, quoted=event.style in ("'", '"', "|", ">"))
        if isinstance(event, yaml.SequenceStartEvent):
            items = (self._node(inner, depth + 1) for inner in self._until(yaml.SequenceEndEvent))
            return Items(tuple(items), at)
        return self._mapping(at, depth)

    def _until(self, end: type[Any]) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _note_anchor(self, at: Position) -> None:
        self._note(
            at,
            "anchors and aliases (& and *) are not used here.",
            "Make what is needed twice a segment of its own, and name it; quote a text that begins with & or *.",
        )

    def _alias(self, event: Any, at: Position) -> Node:
        """What an alias stands for. It was noted where its anchor is, if it has one."""
        if event.anchor not in self._anchored:
            self._note_anchor(at)
        node, size = self._anchored.get(event.anchor, (Text("", at), 1))
        self._values += size
        self._repeated += size
        if self._repeated > MAX_REPEATED:
            self._note(
                at, f"what the aliases repeat comes to more than {MAX_REPEATED:,} values: here the reading ends."
            )
            raise Unreadable
        return node

    def _mapping(self, at: Position, depth: int) -> Node:
        pairs: list[tuple[Text, Node]] = []
        seen: dict[str, list[Position]] = {}
        no_key: Node | None = None
        for event in self._until(yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if isinstance(key, Text):
                self._once(key, seen)
                pairs.append((key, self._node(next(self._events), depth + 1)))
                continue
            no_key = key
            self._note(key.at, "a key must be a plain word.", "A text that begins with { or [ needs quotes.")
            self._node(next(self._events), depth + 1)
        if not pairs and isinstance(no_key, Pairs):  # {{ name }}, without quotes
            return Text("{{ … }}", at, quoted=True)
        return Pairs(tuple(self._merged(pairs) if self._anchored else pairs), at)

    def _once(self, key: Text, seen: dict[str, list[Position]]) -> None:
        places = seen.setdefault(key.value, [])
        if places:
            self._note(
                key.at, f'the key "{key.value}" stands already in line {places[0].line}.', "Keep one of the two."
            )
        places.append(key.at)
        self.most_repeated = max(self.most_repeated, len(places))

    @staticmethod
    def _merged(pairs: list[tuple[Text, Node]]) -> Iterator[tuple[Text, Node]]:
        """`<<: *base` gives the keys of another mapping, where they do not stand here themselves."""
        own = {key.value for key, _ in pairs}
        for key, value in pairs:
            if key.value == _MERGE and isinstance(value, Pairs):
                yield from (pair for pair in value if pair[0].value not in own)
            else:
                yield key, value

"""The tree of a YAML file: every value knows its file, line and column, and stays text until a schema gives it a type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import Position


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar, as written. `quoted` tells `"no"` from `no`."""

    value: str
    at: Position
    quoted: bool = False

    @property
    def empty(self) -> bool:
        return not self.quoted and self.value in ("", "~", "null")


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    at: Position


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping, in the order of the file."""

    pairs: tuple[tuple[Text, Node], ...]
    at: Position

    def get(self, key: str) -> Node | None:
        return next((value for name, value in self.pairs if name.value == key), None)

    def keys(self) -> tuple[str, ...]:
        return tuple(name.value for name, _ in self.pairs)

    def __iter__(self) -> Iterator[tuple[Text, Node]]:
        return iter(self.pairs)


Node = Text | Items | Pairs


def plain(node: Node) -> Any:
    """The tree as dicts, lists and strings; an empty value is None."""
    match node:
        case Text():
            return None if node.empty else node.value
        case Items():
            return [plain(item) for item in node.items]
        case Pairs():
            return {key.value: plain(value) for key, value in node.pairs}


def node(value: Any, at: Position) -> Node:
    """The way back from `plain`: the tree of plain values, every node at the same place."""
    match value:
        case dict():
            return Pairs(tuple((Text(str(key), at), node(inner, at)) for key, inner in value.items()), at)
        case list() | tuple():
            return Items(tuple(node(inner, at) for inner in value), at)
        case None:
            return Text("", at)
        case bool():
            return Text("true" if value else "false", at, quoted=True)
        case _:
            return Text(str(value), at, quoted=True)


def position_of(node: Node, path: Sequence[str | int], *, key: bool = False) -> Position:
    """Where the value at `path` stands (with `key`, its key); as near as the file goes where the value is missing."""
    at = node.at
    for step in path:
        if isinstance(node, Pairs) and isinstance(step, str):
            found = next(((name, value) for name, value in node.pairs if name.value == step), None)
            if found is None:
                return at
            at, node = (found[0].at if key else found[1].at), found[1]
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            at = node.at
    return at

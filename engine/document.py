"""A YAML file in which every value knows its file, line and column, and stays text until a schema gives it a type.

YAML's own guessing (12:30 is 750, `no` is false, +15551234 a number, a repeated key silently wins) never happens here.
Anchors, aliases, tags, repeated keys and more than one document in a file are refused.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from engine.errors import Position, Problem, WorkspaceError

MAX_BYTES = 1_000_000
MAX_DEPTH = 50


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


def load(path: Path, *, shown_as: str | None = None) -> Node:
    """Read a YAML file. Raises WorkspaceError, with the place, for anything that is not one plain YAML document."""
    name = shown_as or str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise WorkspaceError.single(Position(file=name), f"cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_BYTES:
        raise WorkspaceError.single(
            Position(file=name), f"is larger than {MAX_BYTES:,} bytes.", "Split it into several files."
        )
    try:
        return parse(raw.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise WorkspaceError.single(Position(file=name), "is not UTF-8 text.", "Save it as UTF-8.") from error


def parse(text: str, file: str) -> Node:
    """Read YAML text; `file` is the name used in positions."""
    try:
        return _Builder(file).build(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Position(file=file, line=mark.line + 1, column=mark.column + 1) if mark else Position(file=file)
        what = error.problem or "is not valid YAML"
        remedy = (
            "Indent with spaces, not tabs."
            if "\\t" in repr(what) or "'\\t'" in what
            else "Check indentation, colons and quotes here."
        )
        raise WorkspaceError.single(at, f"not valid YAML: {what}.", remedy) from error
    except yaml.YAMLError as error:
        raise WorkspaceError.single(Position(file=file), f"not valid YAML: {error}.") from error


class _Builder:
    """Builds the tree from the parser's events, refusing what only makes trouble."""

    def __init__(self, file: str) -> None:
        self.file = file

    def build(self, events: Iterable[Any]) -> Node:
        self.events = iter(events)
        documents, root = 0, None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise WorkspaceError.single(
                        self._at(event), "a second YAML document begins here.", "Use one file for each."
                    )
                root = self._node(next(self.events), 0)
        return root if root is not None else Pairs((), Position(file=self.file))

    def _at(self, event: Any) -> Position:
        return Position(file=self.file, line=event.start_mark.line + 1, column=event.start_mark.column + 1)

    def _node(self, event: Any, depth: int) -> Node:
        at = self._at(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise WorkspaceError.single(
                at, "anchors and aliases (& and *) are not used here.", "Quote the text if it begins with & or *."
            )
        if depth > MAX_DEPTH:
            raise WorkspaceError.single(at, f"is nested deeper than {MAX_DEPTH} levels.")
        if getattr(event, "tag", None) not in (None, "!") and not isinstance(
            event, yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent
        ):
            raise WorkspaceError.single(at, "tags (!) are not used here.")
        if isinstance(event, yaml.ScalarEvent):
            if event.tag not in (None, "!"):
                raise WorkspaceError.single(at, "tags (!) are not used here.", "Quote the text if it begins with !.")
            return Text(event.value, at, quoted=event.style in ("'", '"', "|", ">"))
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(tuple(self._until(yaml.SequenceEndEvent, depth)), at)
        return self._mapping(at, depth)

    def _until(self, end: type[Any], depth: int) -> Iterator[Node]:
        for event in self.events:
            if isinstance(event, end):
                return
            yield self._node(event, depth + 1)

    def _mapping(self, at: Position, depth: int) -> Pairs:
        flat = list(self._until(yaml.MappingEndEvent, depth))
        pairs: list[tuple[Text, Node]] = []
        seen: dict[str, Position] = {}
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if not isinstance(key, Text):
                raise WorkspaceError.single(key.at, "a key must be a plain word.")
            if key.value in seen:
                raise WorkspaceError.single(
                    key.at,
                    f'the key "{key.value}" stands already in line {seen[key.value].line}.',
                    "Keep one of the two.",
                )
            seen[key.value] = key.at
            pairs.append((key, value))
        return Pairs(tuple(pairs), at)


def plain(node: Node) -> Any:
    """The tree as dicts, lists and strings; an empty value is None."""
    match node:
        case Text():
            return None if node.empty else node.value
        case Items():
            return [plain(item) for item in node.items]
        case Pairs():
            return {key.value: plain(value) for key, value in node.pairs}


def suggestion(word: str, known: Iterable[str]) -> str:
    """`Did you mean "x"?`, or the list of what is known where nothing is near."""
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f'Did you mean "{near[0]}"?'
    return f"Known: {', '.join(names)}." if names else ""


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


M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], node: Node, **context: Any) -> M:
    """Give a document its types. Raises WorkspaceError with every problem, each at its place."""
    try:
        return model.model_validate(plain(node), context=context)
    except ValidationError as error:
        raise WorkspaceError([_problem(model, node, detail) for detail in error.errors()]) from error


def _problem(model: type[BaseModel], node: Node, detail: Any) -> Problem:
    path = [step for step in detail["loc"] if not (isinstance(step, str) and step.startswith("function-"))]
    name = path[-1] if path else ""
    if detail["type"] == "extra_forbidden":
        at = position_of(node, path, key=True)
        return Problem(
            at=at, what=f'unknown key "{name}".', remedy=suggestion(str(name), _known_keys(model, path[:-1]))
        )
    if detail["type"] == "missing":
        return Problem(at=position_of(node, path[:-1], key=True), what=f'"{name}" is missing.')
    what = str(detail["msg"]).removeprefix("Value error, ")
    given = detail.get("input")
    shown = f' (here: "{given}")' if isinstance(given, str) and len(given) < 80 and "secret" not in what else ""
    return Problem(at=position_of(node, path), what=f'"{name}": {what}{shown}.' if name != "" else f"{what}.")


def _known_keys(model: Any, path: Sequence[str | int]) -> list[str]:
    """The keys a model takes at `path`, for suggestions; empty where the path leaves what can be followed."""
    for step in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = next((f for name, f in model.model_fields.items() if step in (name, f.alias)), None)
            if field is None:
                continue
            model = field.annotation
        model = _inner(model)
    model = _inner(model)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [field.alias or name for name, field in model.model_fields.items()]
    return []


def _inner(annotation: Any) -> Any:
    """The model inside Optional[…], dict[str, …], list[…] or Annotated[…]; the annotation itself where there is none."""
    origin = typing.get_origin(annotation)
    if origin is None:
        return annotation
    arguments = [a for a in typing.get_args(annotation) if a is not types.NoneType]
    models = [a for a in map(_inner, arguments) if isinstance(a, type) and issubclass(a, BaseModel)]
    return models[-1] if models else annotation

"""A YAML file in which every value knows its file, line and column, and stays text until a schema gives it a type.

YAML's own guessing (12:30 is 750, `no` is false, +15551234 a number, a repeated key silently wins) never happens here.
Anchors, aliases, tags, repeated keys and more than one document in a file are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

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
        raise WorkspaceError([_not_yaml(error, text, file)]) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        at = Position(file=file, line=before.count("\n") + 1, column=len(before) - (before.rfind("\n") + 1) + 1)
        raise WorkspaceError.single(
            at, "a character that YAML does not allow (a control character).", "Delete it."
        ) from error


_COLON = (
    "a colon is not expected here.",
    'Begin each key on a line of its own, in one column with its neighbours; quote ("…") a text that holds a colon.',
)
_UNLIKE_ABOVE = (
    "this line does not fit to those above it.",
    "Keys that belong together begin in the same column; a text that goes on after a quote needs quotes around the whole.",
)
_QUOTE = ("this quote is never closed.", "Close it with the same kind of quote.")
_SAYINGS: tuple[tuple[str, str, bool, tuple[str, str]], ...] = (
    # the parser's problem, its context, whether the context's place is the one to look at, what and remedy
    ("mapping values are not allowed", "", False, _COLON),
    ("block sequence entries", "", False, ("a list cannot begin here.", "Begin each `- ` on a line of its own.")),
    ("end of stream", "quoted scalar", True, _QUOTE),
    ("document indicator", "quoted scalar", True, _QUOTE),
    ("',' or ']'", "", True, ("this [ is never closed, or a comma is missing.", "Put commas between the items and ] at the end.")),
    ("',' or '}'", "", True, ("this { is never closed, or a comma is missing.", "Put commas between the keys and } at the end.")),
    ("'-' indicator", "", False, ("this line stands in a list and does not begin with `- `.", "Begin it with `- `, or indent it under its key.")),
    ("expected key", "", False, _UNLIKE_ABOVE),
    ("could not find expected ':'", "", True, ("this line has no colon.", "Write `key: value`.")),
    ("unknown escape", "", False, ("this \\ means nothing here.", "Use single quotes, or write \\\\ for one \\.")),
    ("alphabetic or numeric character", "", True, ("a value that begins with * or & needs quotes.", 'Write it as "*/5 …", for example.')),
    ("cannot start any token", "", False, ("a value cannot begin with this character.", 'Quote it ("…").')),
)  # fmt: skip


def _not_yaml(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """What the parser found, in the words of somebody who edits the file."""
    problem, context = error.problem or "", error.context or ""
    what, remedy, mark = f"not valid YAML: {problem}.", "Check indentation, colons and quotes here.", error.problem_mark
    for said, within, there, words in _SAYINGS:
        if said in problem and within in context:
            (what, remedy), mark = words, (error.context_mark if there else error.problem_mark)
            break
    mark = mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    written = lines[line] if line < len(lines) else ""
    of_colon = _about_colon(lines, line, column) if problem.startswith("mapping values") else None
    what, remedy, line, column = of_colon or (what, remedy, line, column)
    if "\t" in written[: len(written) - len(written.lstrip())]:
        what, remedy = "this line is indented with a tab.", "Indent with spaces: YAML takes no tabs."
    return Problem(at=Position(file=file, line=line + 1, column=column + 1), what=what, remedy=remedy)


def _about_colon(lines: list[str], line: int, column: int) -> tuple[str, str, int, int] | None:
    """What a colon in the wrong place comes from: a text that holds one, or a line before it that has none."""
    before = lines[line][:column]
    key, colon, text = before.partition(": ")
    if colon and text.strip() and text.lstrip()[0] not in "\"'[{":
        whole = lines[line].partition(": ")[2].strip()
        shown = whole.replace("\\", "\\\\").replace('"', '\\"') if len(whole) < 80 else "…"
        return "a text with a colon in it needs quotes.", f'Write `{key.strip(" -")}: "{shown}"`.', line, column
    above = next((number for number in range(line - 1, -1, -1) if lines[number].strip()), None)
    if above is None or ":" in lines[above] or lines[above].lstrip().startswith("#"):
        return None
    end = len(lines[above].rstrip())
    return "a colon is missing at the end of this line.", f"Write `{lines[above].strip(' -')[:60]}:`.", above, end


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
                at,
                "anchors and aliases (& and *) are not used here.",
                "Make what is needed twice a segment of its own, and name it; quote a text that begins with & or *.",
            )
        if depth > MAX_DEPTH:
            raise WorkspaceError.single(at, f"is nested deeper than {MAX_DEPTH} levels.")
        if getattr(event, "tag", None) is not None:
            raise WorkspaceError.single(at, "tags (!) are not used here.", "Quote the text if it begins with !.")
        if isinstance(event, yaml.ScalarEvent):
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

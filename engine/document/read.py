"""Reading a YAML file, as far as it can be read.

YAML's own guessing (12:30 is 750, `no` is false, +15551234 a number, a repeated key silently wins) never happens here.
Anchors, aliases, tags, repeated keys and more than one document in a file are refused, and read on nevertheless: one mistake
hides none of the others. Only what is no YAML at all ends the reading of its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml

from engine.document.build import Builder, Unreadable
from engine.document.sayings import not_yaml
from engine.document.tree import Items, Node, Pairs, Text
from engine.errors import Position, Problem, WorkspaceError

MAX_BYTES = 1_000_000
MOST_READINGS = 4
"""A key that stands in a mapping more often than this is refused as often as it stands there, and read so often."""
TAB_WIDTHS = (8, 4, 2)
"""How far a tab may have been meant to indent; the first with which a file is YAML."""
_NOTHING_MOVED: Mapping[int, int] = MappingProxyType({})
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no YAML file may hold: YAML 1.1, chapter 5.1 (https://yaml.org/spec/1.1/#id868524)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """The file with what a repeated key says the next time. `places` are those of what the first reading left out."""

    root: Node
    places: frozenset[Position]

    def news(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Of the problems of this reading, those that the first could not find."""
        return (problem for problem in problems if problem.at in self.places)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One file. `roots`: its tree, and those of further YAML documents in it; none where it cannot be read.

    Of a repeated key they have the first value; `again` has the others. text: the file as it is, empty where there is none.
    """

    file: str
    text: str = ""
    roots: tuple[Node, ...] = ()
    problems: tuple[Problem, ...] = ()
    again: tuple[Again, ...] = ()

    @property
    def root(self) -> Node:
        """The first tree; an empty mapping where the file is empty, or cannot be read."""
        return self.roots[0] if self.roots else Pairs((), Position(file=self.file))

    @property
    def words(self) -> frozenset[str]:
        """All that might be names in it, for whoever has to know them though the file cannot be read."""
        return frozenset(_WORDS.findall(self.text))


def load(path: Path, *, shown_as: str | None = None) -> Node:
    """Read a YAML file. Raises WorkspaceError, with every place, for anything that is not one plain YAML document."""
    return _sound(read(path, shown_as=shown_as))


def parse(text: str, file: str) -> Node:
    """Read YAML text as `load` reads a file; `file` is the name used in positions."""
    return _sound(read_text(text, file))


def _sound(found: Document) -> Node:
    if found.problems:
        raise WorkspaceError(found.problems)
    return found.root


def read(path: Path, *, shown_as: str | None = None) -> Document:
    """Read a YAML file as far as it can be read. Raises nothing."""
    name = shown_as or str(path)
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            return _refused(name, f"is larger than {MAX_BYTES:,} bytes.", "Split it into several files.")
        text = raw.decode("utf-8-sig")
    except OSError as error:
        return _refused(name, f"cannot be read: {error.strerror}.")
    except UnicodeDecodeError:
        return _refused(name, "is not UTF-8 text.", "Save it as UTF-8.")
    return read_text(text, name)


def _refused(file: str, what: str, remedy: str = "") -> Document:
    return Document(file=file, problems=(Problem(at=Position(file=file), what=what, remedy=remedy),))


def read_text(text: str, file: str) -> Document:
    """Read YAML text as far as it can be read; `file` is the name used in positions."""
    strange = _NO_CHARACTER.search(text)
    noted = (_strange(strange, file),) if strange else ()
    clean = _NO_CHARACTER.sub(" ", text) if strange else text
    try:
        return _built(clean, file, noted)
    except _NotYaml as error:
        tabbed = _with_spaces(clean, file, noted, error.why.problem_mark)
        return tabbed or Document(file=file, text=text, problems=(*error.noted, not_yaml(error.why, clean, file)))


class _NotYaml(Exception):
    """The parser gave up; `noted` is what was wrong before."""

    def __init__(self, why: yaml.MarkedYAMLError, noted: tuple[Problem, ...]) -> None:
        super().__init__(str(why))
        self.why, self.noted = why, noted


def _strange(found: re.Match[str], file: str) -> Problem:
    before = found.string[: found.start()]
    at = Position(file=file, line=before.count("\n") + 1, column=len(before) - (before.rfind("\n") + 1) + 1)
    return Problem(at=at, what="a character that YAML does not allow (a control character).", remedy="Delete it.")


def _built(text: str, file: str, noted: tuple[Problem, ...], moved: Mapping[int, int] = _NOTHING_MOVED) -> Document:
    builder = Builder(file, moved)
    try:
        builder.build(yaml.parse(text, Loader=yaml.CSafeLoader))
    except Unreadable:
        return Document(file=file, text=text, problems=(*noted, *builder.problems))
    except yaml.MarkedYAMLError as error:
        raise _NotYaml(error, (*noted, *builder.problems)) from error
    roots, problems = tuple(builder.roots), (*noted, *builder.problems)
    if builder.most_repeated == 1:
        return Document(file=file, text=text, roots=roots, problems=problems)
    first = tuple(_reading(root, 0) for root in roots)
    return Document(
        file=file, text=text, roots=first, problems=problems, again=tuple(_others(roots, first, builder.most_repeated))
    )


# ---------------------------------------------------------------- repeated keys


def _others(roots: tuple[Node, ...], first: tuple[Node, ...], times: int) -> Iterator[Again]:
    known = frozenset(place for root in first for place in _places(root))
    for turn in range(1, min(times, MOST_READINGS)):
        for root in roots:
            other = _reading(root, turn)
            if places := frozenset(_places(other)) - known:
                yield Again(root=other, places=places)


def _reading(node: Node, turn: int) -> Node:
    """The tree with each key once: with its value of this turn, or its last."""
    match node:
        case Items():
            return Items(tuple(_reading(item, turn) for item in node.items), node.at)
        case Pairs():
            each: dict[str, list[tuple[Text, Node]]] = {}
            for key, value in node:
                each.setdefault(key.value, []).append((key, value))
            kept = (same[min(turn, len(same) - 1)] for same in each.values())
            return Pairs(tuple((key, _reading(value, turn)) for key, value in kept), node.at)
    return node


def _places(node: Node) -> Iterator[Position]:
    yield node.at
    match node:
        case Items():
            for item in node.items:
                yield from _places(item)
        case Pairs():
            for key, value in node:
                yield key.at
                yield from _places(value)


# ---------------------------------------------------------------- tabs


def _with_spaces(text: str, file: str, noted: tuple[Problem, ...], mark: yaml.Mark | None) -> Document | None:
    """The file as if spaces stood for the tabs that lines are indented with; None where it fails for something else than a tab."""
    lines = text.splitlines(keepends=True)
    tabs = {number: _indentation(written).count("\t") for number, written in enumerate(lines)}
    if mark is None or not tabs.get(mark.line):
        return None
    told = _tabs([number for number, count in tabs.items() if count], file, lines)
    for width in TAB_WIDTHS:
        spaced = (_indentation(each).replace("\t", " " * width) + each[len(_indentation(each)) :] for each in lines)
        moved = {number: count * (width - 1) for number, count in tabs.items() if count}
        try:
            return _built("".join(spaced), file, (*noted, told), moved)
        except _NotYaml:
            continue
    return Document(file=file, text=text, problems=(*noted, told))


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _tabs(numbers: list[int], file: str, lines: list[str]) -> Problem:
    first, others = numbers[0], len(numbers) - 1
    more = f", and so {'is one more' if others == 1 else f'are {others} more'}" if others else ""
    return Problem(
        at=Position(file=file, line=first + 1, column=lines[first].index("\t") + 1),
        what=f"this line is indented with a tab{more}.",
        remedy="Indent with spaces: YAML takes no tabs.",
    )

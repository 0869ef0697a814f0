"""config.yaml for the sake of the rules: read whole, or as far as it can be, so that its mistakes hide none of theirs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine import document
from engine.document import Again, Node, Pairs
from engine.errors import Problem, WorkspaceError
from engine.rules.read.condition import CONDITIONS
from engine.rules.read.event import PARTS
from engine.settings import Settings, load_settings

NAME = "config.yaml"
_SECTIONS = ("attributes", "events", "purposes", "channels", "providers")
_PLACEHOLDERS: Mapping[str, Any] = {"workspace": "unnamed", "time_zone": "UTC", "secret": "${env:REGULARS_SECRET}"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`settings` are the file's where `problems` is empty; else what is left of them without the `broken` parts."""

    settings: Settings
    node: Node
    problems: tuple[Problem, ...] = ()
    broken: frozenset[tuple[str, ...]] = frozenset()


def read_config(folder: Path) -> Config:
    """Read DIR/config.yaml. Raises nothing: what is wrong is in `problems`."""
    try:
        settings = load_settings(folder)
    except WorkspaceError as error:
        return _salvage(folder, error.problems)
    node = document.load(folder / NAME, shown_as=NAME)
    return Config(settings=settings, node=node, problems=_taken(node))


def _salvage(folder: Path, problems: tuple[Problem, ...]) -> Config:
    file = document.read(folder / NAME, shown_as=NAME)
    given = document.plain(file.root)
    if not isinstance(given, dict) or not given:
        return Config(
            settings=_settings({}), node=file.root, problems=problems, broken=frozenset((name,) for name in _SECTIONS)
        )
    left, broken = _without_mistakes(given)
    return Config(
        settings=_settings(left),
        node=file.root,
        problems=(*problems, *_taken(file.root)),
        broken=broken.union(*map(_names, file.again)),
    )


def _names(again: Again) -> set[tuple[str, ...]]:
    """What the sections hold where they stand once more: it is known, as far as the rules are concerned."""
    sections = [(name.value, node) for name, node in again.root] if isinstance(again.root, Pairs) else []
    return {(section, name.value) for section, node in sections if isinstance(node, Pairs) for name, _ in node}


def _settings(given: Mapping[str, Any]) -> Settings:
    return Settings.model_validate({**_PLACEHOLDERS, **given})


def _without_mistakes(given: dict[str, Any]) -> tuple[dict[str, Any], frozenset[tuple[str, ...]]]:
    """What is left when each entry with a mistake in it is taken out, and the names of those entries."""
    left, broken = dict(given), set[tuple[str, ...]]()
    while True:
        try:
            _settings(left)
        except ValidationError as error:
            wrong = {_entry(left, detail["loc"]) for detail in error.errors()}
            broken |= {(near,) for entry in wrong for near in _meant(entry)}
        else:
            return left, frozenset(broken)
        for entry in wrong:
            _take_out(left, entry)
        broken |= wrong


def _entry(given: Mapping[str, Any], path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The smallest part that can be left out of the settings: a section's entry, or a whole key."""
    match path:
        case (str(section), str(name), *_) if isinstance(given.get(section), dict) and name in given[section]:
            return (section, name)
        case (str(section), *_):
            return (section,)
    return ()


def _meant(entry: tuple[str, ...]) -> list[str]:
    """The section that a misspelt key was meant to be."""
    return difflib.get_close_matches(entry[0], _SECTIONS, n=1) if len(entry) == 1 else []


def _take_out(left: dict[str, Any], entry: tuple[str, ...]) -> None:
    match entry:
        case (section, name):
            left[section] = {key: value for key, value in left[section].items() if key != name}
        case (section,):
            left.pop(section, None)
        case _:
            left.clear()


def _taken(node: Node) -> tuple[Problem, ...]:
    """Attributes named like a word of the rule language: no rule could ask for them."""
    attributes = node.get("attributes") if isinstance(node, Pairs) else None
    names = [name for name, _ in attributes] if isinstance(attributes, Pairs) else []
    return tuple(
        Problem(
            at=name.at,
            what=f'an attribute cannot be called "{name.value}": the rules use this word themselves.',
            remedy="Give it a longer name.",
        )
        for name in names
        if name.value in CONDITIONS or name.value in PARTS
    )

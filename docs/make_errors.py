"""docs/errors.md: broken files, each with what `regulars check` says of it. Run `python docs/make_errors.py` to write it anew."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from engine.cli import app as door
from engine.errors import Problem
from engine.questions.check import check

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "tests" / "gallery"
PAGE = ROOT / "docs" / "errors.md"
INTRODUCTION = """# What goes wrong, and what we say

<!-- Made by docs/make_errors.py from tests/gallery/cases.yaml: change that, not this. -->

Each of these files has a mistake in it, and below it stands what `regulars check` prints: the file, the line, the
column, what is wrong, and what to write instead, then the line with the place marked. `check` shows every mistake of every file at once and ends with status 1, so
that it can stand in front of a commit. An editor with YAML support underlines most of them while you type: `regulars init` sets it up.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One broken file. `text` is the whole file, as it lies in the workspace at `file`; `shown`, the part worth showing."""

    chapter: str
    title: str
    file: str
    text: str
    shown: str


def cases() -> Iterator[Case]:
    for chapter in yaml.safe_load((GALLERY / "cases.yaml").read_text(encoding="utf-8")):
        for given in chapter["cases"]:
            file = given.get("file", "rules/new.yaml")
            text = given.get("text") or _replaced(file, given["replace"])
            shown = given.get("text") or "".join(f"{line}\n" for line in given["replace"].values())
            yield Case(chapter=chapter["chapter"], title=given["title"], file=file, text=text, shown=_part(text, shown))


def _replaced(file: str, words: dict[str, str]) -> str:
    text = (GALLERY / "workspace" / file).read_text(encoding="utf-8")
    for before, after in words.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


def _part(text: str, shown: str) -> str:
    """The lines of a file that were changed, where it is not shown whole."""
    return shown if shown == text else "".join(f"{line}\n" for line in text.splitlines() if shown.strip() in line)


@contextmanager
def workspace_of(case: Case) -> Iterator[Path]:
    """The gallery's workspace with this file in it."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "workspace"
        shutil.copytree(GALLERY / "workspace", folder)
        (folder / case.file).write_text(case.text, encoding="utf-8")
        yield folder


def problems_of(case: Case) -> tuple[Problem, ...]:
    with workspace_of(case) as folder:
        return tuple(check(folder))


def printed(case: Case) -> str:
    """What `check` says of it, as the terminal shows it, without its colours."""
    paper, before = StringIO(), door.notes
    door.notes = Console(file=paper, width=10_000)
    try:
        with workspace_of(case) as folder, redirect_stderr(paper):
            door.show_problems(check(folder), folder)
    finally:
        door.notes = before
    return "".join(f"{line.rstrip()}\n" for line in paper.getvalue().splitlines())


def page() -> str:
    """The whole of docs/errors.md."""
    os.environ.setdefault("REGULARS_SECRET", "for the gallery")
    every = tuple(cases())
    written, chapter = [INTRODUCTION], ""
    for case in every:
        if case.chapter != chapter:
            chapter = case.chapter
            written.append(f"\n## {chapter}\n")
        kind = "jinja" if case.file.startswith("templates/") else "yaml"
        written.append(f"\n### {case.title}\n\n```{kind}\n{case.shown}```\n\n```text\n{printed(case)}```\n")
    return "".join(written)


def main(*_: Any) -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

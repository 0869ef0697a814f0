"""Static lists: files in rules/lists/ with one customer's id a line."""

from __future__ import annotations

from pathlib import Path

from engine.errors import Position, Problem

FOLDER = Path("rules") / "lists"
SUFFIX = ".txt"
MAX_BYTES = 64 * 1024 * 1024


def read_lists(folder: Path, problems: list[Problem]) -> dict[str, tuple[str, ...]]:
    """The ids of every list, by the name of its file. Empty lines and what follows a # at a line's begin are no ids.

    A list that cannot be read is there, with nobody on it.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted((folder / FOLDER).glob(f"*{SUFFIX}")):
        if path.name.startswith("."):
            continue
        at = Position(file=path.relative_to(folder).as_posix())
        found[path.name] = ()
        if path.stat().st_size > MAX_BYTES:
            what, remedy = f"is larger than {MAX_BYTES // 2**20} MB.", "Give these customers an attribute instead."
            problems.append(Problem(at=at, what=what, remedy=remedy))
            continue
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            problems.append(Problem(at=at, what="is not UTF-8 text.", remedy="Save it as UTF-8."))
            continue
        except OSError as error:
            problems.append(Problem(at=at, what=f"cannot be read: {error.strerror}."))
            continue
        lines = (line.strip() for line in text.splitlines())
        found[path.name] = tuple(dict.fromkeys(line for line in lines if line and line[0] != "#" and "\0" not in line))
    return found

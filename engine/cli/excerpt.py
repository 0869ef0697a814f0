"""The line of a file that a problem is about, and a line of carets under the exact place: `^^^^`."""

from __future__ import annotations

import difflib
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType

from rich.cells import cell_len

from engine.document.read import MAX_BYTES
from engine.errors import Position

WIDEST = 100
"""Columns of an excerpt, on the widest terminal: more than that nobody reads."""
TAB = "    "
CUT = "…"


def excerpt(at: Position, folder: Path, *, width: int) -> tuple[str, str] | None:
    """The line and the carets, both at most so many columns wide. None where the place is not in a text that can be shown."""
    lines = _lines(folder / at.file)
    if not 1 <= at.line <= len(lines):
        return None
    line, start = lines[at.line - 1], at.column - 1
    end = _end(at.file)(line, start) if start < len(line) else start + 1
    if at.file == CONFIG:
        line = _without_secrets(line, lines[: at.line - 1])
    return _cut(line, start, max(end, start + 1), min(width, WIDEST))


def _lines(path: Path) -> list[str]:
    """As the parsers count them; nothing of what is no text, or no file of ours."""
    breaks = _BREAKS.get(path.suffix, "\r\n|[\n\r]")
    try:
        if (path.suffix == ".txt" and path.parent.name == "lists") or path.stat().st_size > MAX_BYTES:
            return []  # customers' ids stand there
        return re.split(breaks, path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        return []


_BREAKS: Mapping[str, str] = MappingProxyType(dict.fromkeys((".yaml", ".yml"), "\r\n|[\n\r\x85\u2028\u2029]"))

# ---------------------------------------------------------------- what stands at the place


def _end(file: str) -> Callable[[str, int], int]:
    return _end_in_yaml if Path(file).suffix in _BREAKS else _end_in_template


def _end_in_template(line: str, start: int) -> int:
    """A name with its dots, or a mark of Jinja."""
    found = re.compile(r"[\w.]+|[{}%#-]{1,3}|.").match(line, start)
    return found.end() if found else start + 1


def _end_in_yaml(line: str, start: int) -> int:
    """A quoted text, a list or mapping, a word or number with the words behind it, an anchor; of other signs, themselves."""
    if line[start] in "\"'":
        closed = line.find(line[start], start + 1)
        return (closed if closed >= 0 else len(line.rstrip()) - 1) + 1
    if line[start] in "&*!@`":
        return start + len(re.split(r"[\s,\]}]", line[start:], maxsplit=1)[0])
    if line[start] in "[{":
        return _closed(line, start)
    if line[start] in "]},:|>%#" or line.startswith("- ", start) or line[start].isspace():
        return start + 1
    inside = sum(line.count(mark, 0, start) for mark in "[{") > sum(line.count(mark, 0, start) for mark in "]}")
    stop = re.compile(r":(?=\s|$)|\s#|[,\[\]{}]" if inside else r":(?=\s|$)|\s#").search(line, start)
    return start + len(line[start : stop.start() if stop else None].rstrip())


def _closed(line: str, start: int) -> int:
    """Behind the bracket that closes this one; where none does in this line, behind the bracket itself."""
    waiting: list[str] = []
    for at, mark in enumerate(line[start:], start):
        if mark in _CLOSES:
            waiting.append(_CLOSES[mark])
        elif mark in "]}" and mark != waiting.pop():
            break
        if not waiting:
            return at + 1
    return start + 1


_CLOSES = {"[": "]", "{": "}"}


# ---------------------------------------------------------------- secrets in the open

CONFIG = "config.yaml"
_SECRETIVE = ("secret", "key", "token", "password", "passwd", "credential", "auth", "api_key", "api_keys", "auth_token")
_VALUE = re.compile(r"""([\w-]+)(\s*:\s*)("[^"]*"?|'[^']*'?|[^\s,}#"'\[{][^,}#]*)""")
_NESTED = re.compile(r"([\w-]+)\s*:\s*(?=[\[{])")
_INSIDE = re.compile(
    r"""(?P<kept>\$\{env:\w+\}(?=["'\s,\]}]|$)|[\w-]+(?=\s*:\s)|^\s*-\s|[\[\]{},:]\s*)|"[^"]*"?|'[^']*'?|[^\s"'\[\]{},]+"""
)
"""In a block that holds secrets: what is no value, or only names a variable, is `kept`."""
_NAMED_ABOVE = re.compile(r"([\w-]+)\s*:\s*[|>]?[-+0-9]*\s*$")
_IN_URL = re.compile(r"(?<=://)[^\s/@]*(?=@)")


def _without_secrets(line: str, above: list[str]) -> str:
    """The line with a dot for each character of what may be a secret: it may be wrong just because it stands there."""
    before = next((text for text in reversed(above) if text.strip() and not text.lstrip().startswith("- ")), "")
    named = _NAMED_ABOVE.search(before)
    if named and _secretive(named[1]) and not re.match(r"\s*[\w-]+\s*:\s", line):
        return _INSIDE.sub(lambda found: found["kept"] or _dots(found[0]), line)
    for opened in _NESTED.finditer(line):
        if _secretive(opened[1]):
            inside = _INSIDE.sub(lambda found: found["kept"] or _dots(found[0]), line[opened.end() :])
            line = line[: opened.end()] + inside
    shown = _VALUE.sub(
        lambda found: found[1] + found[2] + (_dots(found[3]) if _secretive(found[1]) else found[3]), line
    )
    return _IN_URL.sub(lambda found: _dots(found[0]), shown)


def _secretive(key: str) -> bool:
    """Whether a key holds a secret, or looks as if it was meant to."""
    name = key.lower()
    return any(word in name for word in _SECRETIVE) or bool(difflib.get_close_matches(name, _SECRETIVE, cutoff=0.7))


def _dots(text: str) -> str:
    return text if re.fullmatch(r"\$\{[^}]*\}?", text.strip("\"' ")) else re.sub(r"[^\s\"']", "•", text)


# ---------------------------------------------------------------- on the terminal


def _cut(line: str, start: int, end: int, width: int) -> tuple[str, str]:
    """The part of the line around the place. A character may take no column, one, or two."""
    cells = [_shown(character) for character in line.rstrip()]
    first, last = 0, len(cells)
    ends = (0, *accumulate(map(cell_len, cells)))
    if ends[-1] > width:
        room = width - 2 * cell_len(CUT)
        first = bisect_left(ends, ends[min(start, last)] - room // 3)
        last = max(bisect_right(ends, ends[first] + room) - 1, first + 1)
    head, tail = CUT if first else "", CUT if last < len(cells) else ""
    blank = " " * cell_len(head + "".join(cells[first:start]))
    carets = max(_wide(cells[start : min(end, last)]), 1)
    return head + "".join(cells[first:last]) + tail, blank + "^" * carets


def _wide(cells: list[str]) -> int:
    return cell_len("".join(cells))


def _shown(character: str) -> str:
    """What stands for a character: none may move the cursor, change colours, or turn the line's direction."""
    if character == "\t":
        return TAB
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return "\N{REPLACEMENT CHARACTER}" if hidden and character != "\N{ZERO WIDTH JOINER}" else character

"""What the YAML parser found wrong, in the words of somebody who edits the file."""

from __future__ import annotations

import yaml

from engine.errors import Position, Problem

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
    ("expected node content", "", False, ("a value is missing here, or a [ or { above is never closed.", "Put ] or } at its end.")),
    ("comment or line break", "", True, ("a value cannot begin with > or |.", 'Write a comparison as `{at_least: 18}` or `{more_than: 18}`, and quote ("…") a text.')),
    ("'-' indicator", "", False, ("this line stands in a list and does not begin with `- `.", "Begin it with `- `, or indent it under its key.")),
    ("expected key", "", False, _UNLIKE_ABOVE),
    ("could not find expected ':'", "", True, ("this line has no colon.", "Write `key: value`.")),
    ("unknown escape", "", False, ("this \\ means nothing here.", "Use single quotes, or write \\\\ for one \\.")),
    ("alphabetic or numeric character", "", True, ("a value that begins with * or & needs quotes.", 'Write it as "*/5 …", for example.')),
    ("cannot start any token", "", False, ("a value cannot begin with this character.", 'Quote it ("…").')),
)  # fmt: skip


def not_yaml(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """The parser's complaint, at the place to look at, with a remedy."""
    problem, context = error.problem or "", error.context or ""
    what, remedy, mark = f"not valid YAML: {problem}.", "Check indentation, colons and quotes here.", error.problem_mark
    for said, within, there, words in _SAYINGS:
        if said in problem and within in context:
            (what, remedy), mark = words, (error.context_mark if there else error.problem_mark)
            break
    mark = mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    of_colon = _about_colon(lines, line, column) if problem.startswith("mapping values") else None
    what, remedy, line, column = of_colon or (what, remedy, line, column)
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

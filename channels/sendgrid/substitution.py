"""Many texts of one form as one text with tags in it, and for each text the values that its tags stand for.

The contents that a provider gets are rendered to the end. What a vendor needs to take many of them in one request, the
text that they share, is found again here, and exactly: a tag replaced by its value is what stood in its place, byte for
byte, in whatever order and however often the vendor replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import ne, or_

_Blank = Callable[[Sequence[str]], str]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SEPARATORS = ("\n", ">")  # HTML that was made small has no lines, but elements
LONG = 200  # a value of more characters is looked into: a part of it may still be common to all


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """What some messages have in common: their `parts` with tags in them, and `values`, for each message one a tag."""

    parts: Sequence[str]
    tags: Sequence[str]
    values: Sequence[Sequence[str]]


def form(text: str) -> int:
    """Texts of one form are worth comparing line by line: those with as many lines."""
    return text.count("\n")


def word_for(texts: Iterable[str]) -> str:
    """A word of letters that occurs in none of these texts, and so may name what is to be replaced in them.

    A tag is `-WORD12-`. Nothing else in a text, while it is replaced step by step, can become one: whatever lies between
    two tags is a piece of an original text, which has no such word, and a word of letters cannot reach into a tag, which
    begins and ends with a hyphen and has the word once. (SendGrid documents tags of the form -name-; `<%name%>` fails.)
    """
    known = list(texts)
    for word in _words():
        if not any(word in text for text in known):
            return word
    raise AssertionError("texts are finite, words are not")


def _words() -> Iterator[str]:
    """One that no language has, and where a text has it, longer ones. Eight letters are found faster than two."""
    lengthening = ["qzxjvkwq"]
    for word in lengthening:
        yield word
        lengthening += [word + letter for letter in LETTERS]


def common(messages: Sequence[Sequence[str]], *, word: str) -> Common:
    """The messages, of equally many parts each, as one with tags. `word` must occur in none of them: see `word_for`."""
    tags: dict[tuple[str, ...], str] = {}  # what is the same in several places for everybody has one tag

    def blank(values: Sequence[str]) -> str:
        return tags.setdefault(tuple(values), f"-{word}{len(tags)}-")

    parts = [_weave(texts, SEPARATORS, blank) for texts in zip(*messages, strict=True)]
    values = list(zip(*tags, strict=True)) if tags else [()] * len(messages)
    return Common(parts=parts, tags=list(tags.values()), values=values)


def _weave(texts: Sequence[str], separators: Sequence[str], blank: _Blank) -> str:
    """One text for all: what differs goes through `blank`, which gives the tag to put there."""
    first = texts[0]
    if texts.count(first) == len(texts):
        return first
    for number, separator in enumerate(separators):
        if rows := _split(texts, separator):
            return separator.join(_pieces(rows, separator, separators[number + 1 :], blank))
    return _trimmed(texts, (), blank)


def _pieces(rows: Sequence[Sequence[str]], separator: str, finer: Sequence[str], blank: _Blank) -> Iterator[str]:
    """Runs of places where all rows agree, as they are; runs of places where they do not, as what `_trimmed` makes of them."""
    for differs, places in groupby(range(len(rows[0])), _differences(rows).__getitem__):
        where = list(places)
        runs = [separator.join(row[where[0] : where[-1] + 1]) for row in (rows if differs else rows[:1])]
        yield _trimmed(runs, finer, blank) if differs else runs[0]


def _split(texts: Sequence[str], separator: str) -> list[list[str]] | None:
    """Each text cut at the separator; None where they do not have as many pieces each, or no more than one."""
    rows = [text.split(separator) for text in texts]
    length = len(rows[0])
    return rows if length > 1 and all(len(row) == length for row in rows) else None


def _differences(rows: Sequence[Sequence[str]]) -> list[bool]:
    """For each place whether the rows differ there."""
    first = rows[0]
    found = [False] * len(first)
    for row in rows:
        if row != first:
            found = list(map(or_, found, map(ne, first, row)))
    return found


def _trimmed(values: Sequence[str], separators: Sequence[str], blank: _Blank) -> str:
    """The values as a tag between what all of them begin and end with; long ones are looked into once more."""
    head = _start(values)
    rests = [value[len(head) :] for value in values]
    tail = _start([rest[::-1] for rest in rests])[::-1]
    middles = [rest[: len(rest) - len(tail)] for rest in rests]
    inner = _weave(middles, separators, blank) if separators and max(map(len, middles)) > LONG else blank(middles)
    return f"{head}{inner}{tail}"


def _start(values: Sequence[str]) -> str:
    """What all values begin with: the least and the greatest of them begin with it."""
    least, greatest = min(values), max(values)
    return next((least[:place] for place, (a, b) in enumerate(zip(least, greatest, strict=False)) if a != b), least)

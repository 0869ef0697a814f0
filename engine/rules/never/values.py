"""What a value may still be, and whether that is nothing at all: a line's part, some of a set, a text of a shape, a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from engine.rules.never.lines import Line


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """One of `among` (None: any there is), none of `without`; of texts also: of these shapes, and of none of those."""

    among: frozenset[Any] | None = None
    without: frozenset[Any] = frozenset()
    shapes: frozenset[tuple[str, str]] = frozenset()
    unlike: frozenset[tuple[str, str]] = frozenset()

    def meet(self, other: Words) -> Words:
        both = self.among if other.among is None else other.among if self.among is None else self.among & other.among
        return Words(
            among=both,
            without=self.without | other.without,
            shapes=self.shapes | other.shapes,
            unlike=self.unlike | other.unlike,
        )

    @property
    def empty(self) -> bool:
        if self.among is None:
            return self._no_text()
        return not any(self._may_be(one) for one in self.among - self.without)

    def _may_be(self, one: Any) -> bool:
        fits = all(SHAPES[name].may(one, of) for name, of in self.shapes)
        return fits and not any(SHAPES[name].surely(one, of) for name, of in self.unlike)

    def _no_text(self) -> bool:
        """Whether two of the shapes exclude each other, or one brings another with it that must not be."""
        for name, of in self.shapes:
            if any(not SHAPES[name].beside(of, other) for other_name, other in self.shapes if other_name == name):
                return True
            if any(_brings(name, of, other_name, other) for other_name, other in self.unlike):
                return True
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A test of a text that leaves endlessly many. `may` and `surely`: whether a text passes it, on both databases, by all rules
    of small letters. `beside`: whether one text can pass it for two values.
    """

    may: Callable[[str, str], bool]
    surely: Callable[[str, str], bool]
    beside: Callable[[str, str], bool]


def _exact(test: Callable[[str, str], bool], beside: Callable[[str, str], bool] = lambda one, other: True) -> Shape:
    return Shape(may=test, surely=test, beside=beside)


def _folded(test: Callable[[str, str], bool], beside: Callable[[str, str], bool] = lambda one, other: True) -> Shape:
    """Beyond ASCII small letters are not the same everywhere: there, what one of the rules calls equal may be equal."""

    def may(text: str, of: str) -> bool:
        return test(text.lower(), of.lower()) or test(text.casefold(), of.casefold())

    def surely(text: str, of: str) -> bool:
        return test(text.lower(), of.lower()) if text.isascii() and of.isascii() else text == of

    return Shape(may=may, surely=surely, beside=beside)


def _like(one: str, other: str) -> bool:
    return one.lower() == other.lower() or one.casefold() == other.casefold()


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "is_like": _folded(lambda text, of: text == of, _like),
        "contains": _exact(lambda text, of: of in text),
        "contains_like": _folded(lambda text, of: of in text),
        "starts_with": _exact(str.startswith, lambda one, other: one.startswith(other) or other.startswith(one)),
        "ends_with": _exact(str.endswith, lambda one, other: one.endswith(other) or other.endswith(one)),
    }
)


def _brings(name: str, of: str, other_name: str, other: str) -> bool:
    """Whether every text that passes one test passes another: whatever begins with "Helsinki" contains "sin"."""
    if (name, of) == (other_name, other):
        return True
    if name in ("starts_with", "ends_with", "contains") and other_name in ("contains", "contains_like"):
        return SHAPES[other_name].surely(of, other)
    return name == other_name and name in ("starts_with", "ends_with") and SHAPES[name].surely(of, other)


@dataclass(frozen=True, kw_only=True, slots=True)
class Items:
    """A list with at least one of each of `some` in it, and none of `without`."""

    some: frozenset[frozenset[str]] = frozenset()
    without: frozenset[str] = frozenset()

    def meet(self, other: Items) -> Items:
        return Items(some=self.some | other.some, without=self.without | other.without)

    @property
    def empty(self) -> bool:
        return any(choice <= self.without for choice in self.some)


Body = Line | Words | Items


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """What a value may still be. `missing`: it may be missing. `known`: it may be there. `body`: of what it then is; None for any."""

    missing: bool = False
    known: bool = True
    body: Body | None = field(default=None)

    def meet(self, other: Domain) -> Domain:
        if self is ANYTHING:
            return other
        return Domain(
            missing=self.missing and other.missing,
            known=self.known and other.known,
            body=_both(self.body, other.body),
        )

    @property
    def empty(self) -> bool:
        return not self.missing and (not self.known or (self.body is not None and self.body.empty))


ANYTHING = Domain(missing=True)


def _both(one: Body | None, other: Body | None) -> Body | None:
    match one, other:
        case None, _:
            return other
        case _, None:
            return one
        case Line(), Line():
            return one.meet(other)
        case Words(), Words():
            return one.meet(other)
        case Items(), Items():
            return one.meet(other)
    raise TypeError("a value has one type")

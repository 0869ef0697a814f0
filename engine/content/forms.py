"""What the pages of one template have in common: the texts that the template itself says, with holes for the values between.

Most of what is found out about a page is about those texts, and so it is found out once for all messages of the same form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

HOLE = "\ue000"
"""Stands for a value in a form's page. Where a template says it itself, its pages have no form."""

REMEMBERED = 256
_UNFIT = re.compile(f"[<>\"'{HOLE}\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""What would be markup of a value's own, and what would have to be cleaned away."""


@dataclass(frozen=True, eq=False, slots=True)
class Form:
    """A page with holes. `known`: what others found out about it, each under a key of its own."""

    page: str
    holes: int
    known: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filled:
    """One message's page: a form and the values in its holes, none of which ends or begins a tag, a quote or a comment.
    `text` is the whole page, in which there is nothing to be cleaned.
    """

    form: Form
    values: Sequence[str]
    text: str


class Forms:
    """The forms of one template version. `own` tells its own texts by their identity: a text that equals one of them by
    chance is another object, or says the same.
    """

    def __init__(self, own: Collection[int], *, longest: int, is_clean: Callable[[str], bool]) -> None:
        self._own, self._longest, self._is_clean = own, longest, is_clean
        self._forms: dict[tuple[str | None, ...], Form | None] = {}

    def filled(self, pieces: Sequence[str]) -> Filled | None:
        """The page that these pieces make; None where it must be read anew, because a value brings markup of its own."""
        own = self._own
        values = [piece for piece in pieces if id(piece) not in own]
        said = "".join(values)
        if _UNFIT.search(said):
            return None
        shape = tuple([piece if id(piece) in own else None for piece in pieces])
        if shape not in self._forms:
            if len(self._forms) >= REMEMBERED:
                self._forms.clear()
            page = "".join([HOLE if piece is None else piece for piece in shape])
            whole = page.count(HOLE) == len(values) and self._is_clean(page)
            self._forms[shape] = Form(page, len(values)) if whole else None
        form = self._forms[shape]
        if form is None or len(form.page) + len(said) > self._longest:
            return None
        return Filled(form, values, "".join(pieces))


def texts(code: CodeType) -> list[int]:
    """The identities of a compiled template's own texts. They last as long as its code does."""
    found = []
    for constant in code.co_consts:
        if isinstance(constant, str):
            found.append(id(constant))
        elif isinstance(constant, CodeType):
            found += texts(constant)
    return found

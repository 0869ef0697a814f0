"""What one rendering may cost, and the refusals: a template that does too much is stopped, the sender goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from babel import Locale
from jinja2 import Undefined
from jinja2.exceptions import SecurityError, UndefinedError
from markupsafe import Markup

WORK = 500_000
"""Characters written, copied or looked through, turns of loops, and calls, that one message may take, all together."""


class Refused(SecurityError):
    """A template asked for something that templates do not get. Says what, and what to write instead."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


class MissingValue(UndefinedError):
    """A value that the template needs is not there. `name` is what it was looked up by, `holder` where."""

    def __init__(self, message: str | None = None, *, name: object = None, holder: object = None) -> None:
        super().__init__(message)
        self.name, self.holder = name, holder


class Meter(threading.local):
    """Counts down the work of the rendering in this thread, and knows how that rendering writes amounts and dates.

    The count depends on the template and its values alone, never on the machine's speed: what renders once renders
    always. `left` is set anew by `begin`.
    """

    left: int = WORK
    locale: Locale = Locale("en")
    currency: str = ""
    time_zone: str = "UTC"

    def begin(self, *, locale: Locale, currency: str, time_zone: str) -> None:
        self.left, self.locale, self.currency, self.time_zone = WORK, locale, currency, time_zone

    def charge(self, amount: int) -> None:
        """Raises Refused where the rendering has used up its work."""
        self.left = left = self.left - amount
        if left < 0:
            raise _too_much()

    def written(self, value: Any) -> Any:
        """A value on its way into the text. Only text and numbers are written; anything else is a mistake worth telling."""
        kind = type(value)
        if kind is str or kind is Markup:  # the usual case, without a further call: it runs for every value of a page
            self.left = left = self.left - len(value)
            if left < 0:
                raise _too_much()
            return value
        if kind in (int, float, bool):
            self.charge(20)
            return value
        if type(value) is Undefined:
            return ""  # what `{{ "x" if y }}` is without its else
        if isinstance(value, Undefined):
            str(value)  # raises MissingValue
        if value is None:
            raise MissingValue("an empty value")
        raise Refused(
            f"{_spoken(value)} cannot be written out", "Write one value of it, loop over it, or use the filter join."
        )

    def weighed(self, value: Any) -> Any:
        """Charge a list or mapping for all that it holds, however deep; a text or number as when it is written."""
        waiting = [value]
        while waiting:
            item = waiting.pop()
            self.charge(1)
            if isinstance(item, str):
                self.charge(len(item))
            elif isinstance(item, dict):
                waiting += [*item.keys(), *item.values()]
            elif isinstance(item, list | tuple):
                waiting += item
        return value

    def counted(self, values: Iterable[Any]) -> Iterator[Any]:
        """The same values, each charged when it is taken."""
        for value in values:
            self.charge(1)
            yield value


def _too_much() -> Refused:
    return Refused(
        "this template does more work than a message needs",
        "Look for loops inside loops, and for text that is built up again and again.",
    )


def _spoken(value: object) -> str:
    """What kind of thing a value is, in a marketer's words."""
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}"

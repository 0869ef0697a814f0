"""The filters and tests templates may use: an allow-list of Jinja's, made safe to size, and money, number, date, time."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial, wraps
from types import GeneratorType
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from jinja2 import Undefined
from jinja2 import filters as jinja
from jinja2 import tests as jinja_tests
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.utils import pass_context, pass_environment, pass_eval_context

from engine.content.meter import Meter, Refused

Filter = Callable[..., Any]

WIDEST = 200
LONGEST_PATTERN = 40
MOST_GROUPS = 1_000
LARGEST_NUMBER = Decimal("1e15")

OF_TEXT = (
    "capitalize e escape forceescape lower string striptags title trim truncate upper urlencode wordcount float int"
)
"""Filters of Jinja's whose result is about as long as their input, which must be text or a number."""

OF_LISTS = (
    "abs count dictsort first groupby items last length list map max min reject rejectattr reverse select selectattr "
    "sort tojson unique"
)

REMEDIES: Mapping[str, str] = {
    "attr": "Write the attribute's name after a dot.",
    "random": "A message must be the same each time it is rendered.",
    "safe": "Values are always escaped; HTML stands in the template itself.",
    "urlize": 'Write the link: <a href="…">…</a>.',
    "pprint": "Write the values one by one.",
    "xmlattr": "Write the attributes out.",
    "filesizeformat": "Use the filter number.",
    "currency": "Use the filter money.",
}
"""What to do instead of some filters one may know from elsewhere."""


def filters(meter: Meter) -> dict[str, Any]:
    """Every filter by its name, each charging `meter` for what it reads and writes."""
    plain = {name: _of_text(meter, jinja.FILTERS[name]) for name in OF_TEXT.split()}
    plain |= {name: _of_list(meter, jinja.FILTERS[name]) for name in OF_LISTS.split()}
    own: dict[str, Filter] = {
        "batch": _batch,
        "center": _center,
        "default": _default,
        "d": _default,
        "format": _format,
        "indent": _indent,
        "join": _join,
        "replace": _replace,
        "round": _round,
        "slice": _slice,
        "sum": _sum,
        "wordwrap": _wordwrap,
        "money": _money,
        "number": _number,
        "date": _date,
        "time": _time,
    }
    return plain | {name: _bound(meter, function) for name, function in own.items()}


def tests() -> dict[str, Any]:
    """Jinja's tests, less those about its own machinery; a missing value is `none` too."""
    kept = {
        name: test for name, test in jinja_tests.TESTS.items() if name not in ("callable", "filter", "test", "sameas")
    }
    return kept | {"none": lambda value: value is None or isinstance(value, Undefined)}


# ---------------------------------------------------------------- how a filter is charged


def _value_index(function: Filter) -> int:
    """Jinja hands some filters its environment or context first, the value next."""
    return 1 if hasattr(function, "jinja_pass_arg") else 0


def _of_text(meter: Meter, function: Filter) -> Filter:
    index = _value_index(function)

    @wraps(function)
    def apply(*args: Any, **options: Any) -> Any:
        meter.written(args[index])
        return _paid(meter, function(*args, **options))

    return apply


def _of_list(meter: Meter, function: Filter) -> Filter:
    index = _value_index(function)

    @wraps(function)
    def apply(*args: Any, **options: Any) -> Any:
        if hasattr(args[index], "__len__"):
            meter.charge(len(args[index]))
        return _paid(meter, function(*args, **options))

    return apply


def _bound(meter: Meter, function: Filter) -> Filter:
    """A filter of this file: it takes the meter first, unless Jinja's own first argument comes before it."""
    if not _value_index(function):
        return partial(function, meter)

    @wraps(function)
    def apply(given: Any, *args: Any, **options: Any) -> Any:
        return function(given, meter, *args, **options)

    return apply


def _paid(meter: Meter, result: Any) -> Any:
    if isinstance(result, GeneratorType):
        return meter.counted(result)
    if hasattr(result, "__len__"):
        meter.charge(len(result))
    return result


def _at_most(limit: int, value: Any, what: str) -> int:
    if type(value) is not int or not -limit <= value <= limit:
        raise Refused(f"{what} must be a whole number of at most {limit}")
    return int(value)


# ---------------------------------------------------------------- Jinja's, with their sizes checked before they are made


def _default(_meter: Meter, value: Any, otherwise: Any = "", boolean: bool = False) -> Any:
    """`otherwise` where the value is missing or none (with `boolean`, also where it is empty, zero or false)."""
    absent = value is None or isinstance(value, Undefined) or (boolean and not value)
    return otherwise if absent else value


def _center(meter: Meter, value: Any, width: int = 80) -> Any:
    return jinja.do_center(meter.written(value), _at_most(WIDEST, width, "the width of center"))


def _indent(meter: Meter, value: Any, width: int = 4, first: bool = False, blank: bool = False) -> Any:
    text = str(meter.written(value))
    meter.charge((text.count("\n") + 1) * abs(_at_most(WIDEST, width, "the width of indent")))
    return jinja.do_indent(value, width, first, blank)


@pass_environment
def _wordwrap(environment: Any, meter: Meter, value: Any, width: int = 79) -> Any:
    text = str(meter.written(value))
    return jinja.do_wordwrap(
        environment, text, max(1, _at_most(WIDEST, width, "the width of wordwrap")), wrapstring="\n"
    )


@pass_eval_context
def _replace(context: EvalContext, meter: Meter, value: Any, old: Any, new: Any, count: int | None = None) -> Any:
    text, old, new = str(meter.written(value)), str(meter.written(old)), str(meter.written(new))
    meter.charge(text.count(old) * len(new) * 6)  # up to six times longer once it is escaped
    return jinja.do_replace(context, value, old, new, count)


@pass_eval_context
def _join(context: EvalContext, meter: Meter, values: Any, separator: Any = "", attribute: Any = None) -> Any:
    if attribute is not None:
        values = map(jinja.make_attrgetter(context.environment, attribute), values)
    items = [meter.written(item) for item in meter.counted(values)]
    meter.charge(len(items) * len(str(meter.written(separator))) * 6)
    return _paid(meter, jinja.sync_do_join(context, items, separator))


_SPECIFIER = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(\*|\d*)(?:\.(\*|\d*))?")


def _format(meter: Meter, value: Any, *args: Any, **options: Any) -> Any:
    """`"%.2f" | format(3)`, with text and numbers alone and widths that fit a line."""
    for sizes in _SPECIFIER.findall(str(meter.written(value))):
        if "*" in sizes or any(len(size) > 3 or int(size or 0) > WIDEST for size in sizes):
            raise Refused(f"a width in format must be at most {WIDEST}")
    for given in (*args, *options.values()):
        meter.written(given)
    return _paid(meter, jinja.do_format(value, *args, **options))


def _round(_meter: Meter, value: Any, precision: int = 0, method: Any = "common") -> Any:
    if type(value) not in (int, float):
        raise Refused("round takes a number")
    return jinja.do_round(value, _at_most(15, precision, "the precision of round"), method)


@pass_environment
def _sum(environment: Any, meter: Meter, values: Any, attribute: Any = None) -> Any:
    if attribute is not None:
        values = map(jinja.make_attrgetter(environment, attribute), values)
    numbers = list(meter.counted(values))
    if not all(type(item) in (int, float) for item in numbers):
        raise Refused("sum takes numbers")
    return sum(numbers)


def _batch(meter: Meter, values: Any, size: int, fill: Any = None) -> Any:
    return meter.counted(
        jinja.do_batch(meter.counted(values), max(1, _at_most(MOST_GROUPS, size, "the size of batch")), fill)
    )


def _slice(meter: Meter, values: Any, slices: int, fill: Any = None) -> Any:
    return meter.counted(
        jinja.sync_do_slice(
            list(meter.counted(values)), max(1, _at_most(MOST_GROUPS, slices, "the number of slices")), fill
        )
    )


# ---------------------------------------------------------------- amounts and dates, as the reader's language writes them
#
# They take Jinja's context so that Jinja does not work `{{ 10 | money }}` out once, in the first reader's language.


def _decimal(meter: Meter, value: Any, what: str) -> Decimal:
    try:
        number = Decimal(str(meter.written(value)))
    except InvalidOperation as error:
        raise Refused(f"{what} takes a number") from error
    if isinstance(value, bool) or not number.is_finite() or abs(number) > LARGEST_NUMBER:
        raise Refused(f"{what} takes a number up to {LARGEST_NUMBER:,.0f}")
    return number


@pass_context
def _money(_context: Context, meter: Meter, value: Any, currency: str = "") -> str:
    """`{{ data.amount | money }}`: in the workspace's currency, or in the one named."""
    return format_currency(_decimal(meter, value, "money"), currency or meter.currency, locale=meter.locale)


@pass_context
def _number(_context: Context, meter: Meter, value: Any, decimals: int | None = None) -> str:
    """`{{ data.points | number }}`; with `decimals`, exactly so many."""
    number = _decimal(meter, value, "number")
    if decimals is None:
        return format_decimal(number, locale=meter.locale)
    places = max(0, _at_most(10, decimals, "the decimals of number"))
    pattern = copy.copy(meter.locale.decimal_formats[None])
    pattern.frac_prec = (places, places)
    return str(pattern.apply(number, meter.locale))


def _moment(meter: Meter, value: Any, what: str) -> date:
    """A date or time in ISO 8601; one with an offset is shown in the customer's time zone."""
    try:
        text = str(meter.written(value))
        moment = date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{what} takes a date or time in ISO 8601, like 2026-03-02") from error
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return moment.astimezone(ZoneInfo(meter.time_zone))
    return moment


def _pattern(given: Any) -> str:
    if not isinstance(given, str) or len(given) > LONGEST_PATTERN:
        raise Refused("a date is short, medium, long or full, or a short CLDR pattern like 'd. MMMM'")
    return given


@pass_context
def _date(_context: Context, meter: Meter, value: Any, pattern: str = "medium") -> str:
    """`{{ today | date('long') }}`: short, medium, long, full, or a CLDR pattern."""
    return format_date(_moment(meter, value, "date"), _pattern(pattern), locale=meter.locale)


@pass_context
def _time(_context: Context, meter: Meter, value: Any, pattern: str = "short") -> str:
    """`{{ data.pickup_at | time }}`: the time of day."""
    moment = _moment(meter, value, "time")
    if not isinstance(moment, datetime):
        raise Refused("time takes a time, and this is a date alone", "Use the filter date.")
    return format_time(moment.timetz() if moment.tzinfo is None else moment, _pattern(pattern), locale=meter.locale)

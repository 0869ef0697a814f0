"""One cell of a file, or one JSON value, as the type it is declared to have. Each function raises ValueError with the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from engine import scalars
from engine.intake.columns import unknown
from engine.model import AttributeType, Plain

MAX_ID = 200
"""Characters of an id: far more than any shop uses, and what a database index can hold."""

LARGEST = 10**18
"""Numbers end here: beyond it the two databases would not keep whole ones alike."""

Convert = Callable[[object], Plain]

_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?")
_YES_NO: Mapping[str, bool] = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def read(row: Mapping[str, object], columns: Mapping[str, Callable[[object], object]], of: str) -> dict[str, Any]:
    """The values of a row's cells, by column. An empty cell says nothing, so it is not there.

    Raises ValueError that names the column; `of` is what the row is about.
    """
    values = {}
    for column, cell in row.items():
        value = cell.strip() if type(cell) is str else cell
        if value == "" or value is None:
            continue
        convert = columns.get(column)
        if convert is None:
            raise ValueError(f"{of}: {unknown(column, columns)}")
        try:
            values[column] = convert(value)
        except ValueError as error:
            raise ValueError(f"{column}: {error}") from None
    return values


def text(value: object) -> str:
    """Text that both databases can hold; a whole number from JSON counts as its digits."""
    if isinstance(value, str):
        if value.isascii() or _whole(value):
            if "\0" not in value:
                return value
            raise ValueError("a NUL character is in the text")
        raise ValueError("half of a character (a lone surrogate) is in the text")
    if type(value) is int:
        return str(value)
    raise ValueError("this is a text, not a list, an object or a truth value")


def _whole(value: str) -> bool:
    try:
        return bool(value.encode())
    except UnicodeEncodeError:
        return False


def identity(value: object) -> str:
    """An id of the shop's own."""
    found = text(value)
    if len(found) > MAX_ID:
        raise ValueError(f"an id has at most {MAX_ID} characters")
    return found


def number(value: object) -> int | float:
    """`12`, `12.50`, `-3`, `1e3`: a decimal point, no thousands separators."""
    if isinstance(value, str):
        if value.removeprefix("-").isdecimal() and value.isascii() and len(value) < 19:
            return int(value)
        value = _decimal(value)
    if type(value) in (int, float) and -LARGEST < cast(float, value) < LARGEST:
        return cast(float, value)
    raise ValueError("a number is written 12 or 12.50, with nothing around it")


def _decimal(value: str) -> float | None:
    """Python takes 1_000 and the digits of every script for numbers too; a shop's export that has them is a mistake."""
    try:
        return float(value) if value.isascii() and "_" not in value else None
    except ValueError:
        return None


def yes_no(value: object) -> bool:
    found = _YES_NO.get(str(value).lower())
    if found is None:
        raise ValueError("write yes or no")
    return found


def day(value: object) -> str:
    """A date, as it is stored."""
    try:
        return date.fromisoformat(text(value)).isoformat()
    except ValueError as error:
        raise ValueError('a date is written "2026-11-22"') from error


def moments(zone: ZoneInfo) -> Callable[[object], datetime]:
    """Reads an instant (UTC). Without an offset it is local time in `zone`; a date alone is its midnight there.

    A local time that a clock change repeats is the earlier of the two.
    """

    def moment(value: object) -> datetime:
        try:
            found = datetime.fromisoformat(value if isinstance(value, str) else text(value))
            return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
        except ValueError as error:
            like = '"2026-11-22T10:00" or, with its offset, "2026-11-22T10:00+02:00"'
            raise ValueError(f"a time is written {like}") from error
        except OverflowError as error:
            raise ValueError("this time is out of range") from error

    return moment


def texts(value: object) -> list[Plain]:
    """A list of texts: JSON's own, or `jazz|blues` in a cell."""
    if isinstance(value, list):
        return [text(item) for item in value]
    return [item.strip() for item in text(value).split("|") if item.strip()]


def locale(value: object) -> str:
    """A language, perhaps with a script and a country: `fi`, `pt-BR`, `zh-Hant-TW`; `pt_BR` is the same."""
    match = _LOCALE.fullmatch(text(value))
    if match is None:
        raise ValueError('a locale is written "fi" or "pt-BR"')
    language, script, country = (part or "" for part in match.groups())
    return "-".join(filter(None, (language.lower(), script.title(), country.upper())))


def time_zone(value: object) -> str:
    return scalars.zone(text(value)).key


def converters(zone: ZoneInfo) -> Mapping[AttributeType, Convert]:
    """For each declared type, how its cells are read; `zone` is where local times are."""

    moment = moments(zone)
    return {
        AttributeType.TEXT: text,
        AttributeType.NUMBER: number,
        AttributeType.BOOLEAN: yes_no,
        AttributeType.DATE: day,
        AttributeType.TIME: lambda value: moment(value).isoformat(timespec="seconds"),
        AttributeType.LIST: texts,
    }

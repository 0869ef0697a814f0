"""Which columns a file may have, and what is said about the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.document import suggestion
from engine.errors import IntakeError


def quoted(name: str) -> str:
    """The beginning of a name as it was given, fit for any screen."""
    return f'"{name[:60].encode(errors="backslashreplace").decode()}"'


def unknown(column: str, known: Collection[str]) -> str:
    """What is said of a row's column that has no place, with the nearest one that has."""
    return f"unknown column {quoted(column)}. {suggestion(column[:60].lower(), known)}"


def require(columns: Sequence[str], needed: Sequence[str], known: Collection[str], where: str) -> None:
    """Raises IntakeError where a header lacks a column that every row needs."""
    for column in needed:
        if column not in columns:
            raise IntakeError(
                f'there is no column "{column}"',
                where=where,
                remedy=f"The first line names the columns; these are known: {', '.join(known)}.",
            )


def refuse_unknown(columns: Sequence[str], known: Collection[str], where: str) -> None:
    """Raises IntakeError where a file has a column that leads nowhere: nothing of it is taken."""
    strange = [column for column in columns if column not in known]
    if strange:
        names = ", ".join(map(quoted, strange))
        near = suggestion(strange[0][:60].lower(), known)
        hint = f"{near} " if near.startswith("Did") else ""
        raise IntakeError(
            f"unknown column{'s' if len(strange) > 1 else ''} {names}",
            where=where,
            remedy=f"{hint}Known: {', '.join(known)}. Rename or remove it, or declare it in config.yaml.",
        )

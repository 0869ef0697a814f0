"""Customers in: who they are, where they can be reached and what they agreed to, from a file or a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from engine.addresses import normalise
from engine.errors import IntakeError
from engine.intake import cells, profiles
from engine.intake.columns import refuse_unknown, require
from engine.intake.imported import Imported
from engine.intake.importing import CHUNK, Progress, opened, take_all
from engine.intake.profiles import Said
from engine.intake.result import Taken, rejected
from engine.intake.rows import Row
from engine.model import Channel, ConsentStatus
from engine.settings import Settings
from engine.store import Database

PROOF, CONSENT = "consent_proof", "consent."
OWN = ("locale", "time_zone", "created_at")
MAX_ADDRESS = 254
"""Characters of an address: an email address has no more (RFC 5321 §4.5.3.1)."""


def import_customers(
    path: Path,
    *,
    settings: Settings,
    database: Database,
    now: datetime,
    proof: str = "",
    rejects: Path | None = None,
    progress: Progress | None = None,
    chunk: int = CHUNK,
) -> Imported:
    """Take a file of customers. `proof` says how and when those who agreed did so, where the file itself does not.

    Raises IntakeError, with nothing taken, where the file cannot be read, has an unknown column, or has consents without
    a proof. Importing a file again, or again after a kill, changes nothing that it did before.
    `chunk`: rows of a transaction.
    """
    with opened(path) as intake:
        source, where, known = intake.source, f"{path}:1", known_columns(settings)
        if source.fixed:
            require(source.columns, ("id",), known, where)
        refuse_unknown(source.columns, known, where)
        _require_proof(source.columns, proof, where)
        return take_all(
            intake,
            lambda connection, rows: take_customers(connection, database, settings, rows, now=now, proof=proof),
            database=database,
            rejects=rejects,
            progress=progress,
            chunk=chunk,
        )


def _require_proof(columns: Sequence[str], proof: str, where: str) -> None:
    if any(column.startswith(CONSENT) for column in columns) and not proof.strip() and PROOF not in columns:
        raise IntakeError(
            "consents need a proof: how and when these people agreed",
            where=where,
            remedy=f'Give --proof "sign-up form, with double opt-in, 2026", or a column {PROOF}. Whoever cannot show '
            "that a person agreed may not write to them (GDPR Art. 7(1)); a bought list has no proof.",
        )


def known_columns(settings: Settings) -> tuple[str, ...]:
    """The columns of a file of customers, in the order in which they are told."""
    return tuple(cell_readers(settings))


def take_customers(
    connection: Connection,
    database: Database,
    settings: Settings,
    rows: Iterable[Row],
    *,
    now: datetime,
    proof: str = "",
    source: str = "import",
) -> list[Taken]:
    """Take customers in an open transaction; gives the end of each, in their order.

    proof: of the consents in rows that bring none. source: what is written beside a consent (import, api). A yes never
    overrides a no that came from elsewhere than an import or this very source: what people said themselves stands.
    """
    columns = cell_readers(settings)
    said = [_read(row, columns, proof) for row in rows]
    terms = profiles.Terms(database=database, settings=settings, now=now, source=source)
    ends = iter(profiles.take(connection, [each for each in said if isinstance(each, Said)], terms))
    return [next(ends) if isinstance(each, Said) else each for each in said]


def _read(row: Row, columns: Mapping[str, Callable[[object], object]], proof: str) -> Said | Taken:
    """What the row says, or its end where it makes no sense."""
    try:
        values = cells.read(row, columns, "customers")
    except ValueError as error:
        return rejected(error)
    if "id" not in values:
        return rejected("id is missing")
    consents = [column for column in values if column.startswith(CONSENT)]
    return Said(
        external_id=values.pop("id"),
        own={column: values.pop(column) for column in OWN if column in values},
        addresses={channel: values.pop(channel.value) for channel in Channel if channel.value in values},
        consents={_agreed_to(column): values.pop(column) for column in consents},
        proof=values.pop(PROOF, proof),
        attributes=values,
    )


def cell_readers(settings: Settings) -> dict[str, Callable[[object], object]]:
    """How the cells of each known column are read. A name of our own goes before an attribute of that name."""
    convert = cells.converters(settings.time_zone)
    own: dict[str, Callable[[object], object]] = {
        "id": cells.identity,
        **{channel.value: partial(_address, channel) for channel in Channel},
        "locale": cells.locale,
        "time_zone": cells.time_zone,
        "created_at": cells.moments(settings.time_zone),
    }
    attributes = {name: convert[kind] for name, kind in settings.attributes.items() if name not in own}
    consents = {f"{CONSENT}{channel}.{purpose}": _status for channel in Channel for purpose in settings.purposes}
    return {**own, **attributes, **consents, PROOF: cells.text}


def _address(channel: Channel, value: object) -> str:
    if len(found := normalise(channel, cells.text(value))) > MAX_ADDRESS:
        raise ValueError(f"an address has at most {MAX_ADDRESS} characters")
    return found


def _status(value: object) -> ConsentStatus:
    return ConsentStatus.OPTED_IN if cells.yes_no(value) else ConsentStatus.OPTED_OUT


def _agreed_to(column: str) -> tuple[Channel, str]:
    _, channel, purpose = column.split(".")
    return Channel(channel), purpose

"""The database as the ledger's promises need it: there, durable, of this version's schema, with the right secret."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from engine.errors import RegularsError
from engine.questions.doctor.finding import Finding, Verdict, good, skipped, warning, wrong
from engine.store.database import clear_errors, durability, schema
from engine.store.pool import make_pool

AREA = "database"
ROOM_LEFT = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """What was found, and whether the books can be read."""

    findings: tuple[Finding, ...]
    readable: bool


def storage(url: str, folder: Path) -> Storage:
    """Look at the database without changing it: nothing is made, nothing migrated. Raises nothing."""
    findings: list[Finding] = []
    try:
        pool = make_pool(url, folder)
        file = Path(pool.url.database or "") if pool.dialect.name == "sqlite" else None
        if file is not None and not file.exists():
            return _unread(skipped(AREA, "there is none yet: the first command that needs it makes it"))
        try:
            with clear_errors(), pool.connect() as connection:
                findings += _durable(connection)
                version = _schema(connection)
        finally:
            pool.dispose()
    except RegularsError as error:
        return _unread(*findings, wrong(AREA, str(error)))
    findings += _room(file) if file is not None else ()
    if version.verdict is not Verdict.GOOD:
        return _unread(*findings, version)
    return Storage(findings=(*findings, version), readable=True)


def _unread(*findings: Finding) -> Storage:
    return Storage(findings=(*findings, skipped("books", "they were not read")), readable=False)


def _durable(connection: sa.Connection) -> Iterator[Finding]:
    for setting in durability(connection):
        if setting.durable:
            yield good(AREA, f"{setting.name} is {setting.value}")
        else:
            what = f"{setting.name} is {setting.value}: {setting.danger}"
            yield wrong(AREA, what, f"Set it to {setting.needed[0]}.")


def _schema(connection: sa.Connection) -> Finding:
    there, needed = schema(connection)
    if there == needed:
        return good(AREA, f"the tables are of version {there}, as this Regulars needs them")
    if there is None:
        return skipped(AREA, "it has no tables yet: the first command that needs them makes them")
    if there < needed:
        remedy = "The next start brings them up to date; make a backup first."
        return warning(AREA, f"the tables are of version {there}, and this Regulars needs {needed}", remedy)
    remedy = "Install the newer Regulars; this one must not write here."
    return wrong(AREA, f"the tables are of version {there}, made by a newer Regulars than this ({needed})", remedy)


def _room(file: Path) -> Iterator[Finding]:
    """A full disk stops the sending: better known before."""
    try:
        room = shutil.disk_usage(file.parent)
    except OSError:
        return
    share = room.free / room.total
    what = f"the disk has {room.free / 1e9:,.1f} GB free ({share:.0%})"
    yield good(AREA, what) if share > ROOM_LEFT else warning(AREA, what, "When it is full, nothing is sent.")

"""Reports in a Maildir, one file a mail. https://cr.yp.to/proto/maildir.html"""

from __future__ import annotations

import mailbox
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from channels.reports.reading import read
from channels.reports.settings import ASIDE, MOST_OCTETS, TAKEN, MaildirSettings
from engine.errors import ProviderError
from engine.provider import Fetched, Inbox, KeyOf


class Maildir(Inbox):
    def __init__(self, settings: MaildirSettings) -> None:
        self.folder = settings.maildir
        self.name = f"maildir {self.folder}"

    def fetch(self, key_of: KeyOf, *, now: datetime) -> Iterator[Fetched]:
        try:
            mails, taken, aside = self._mails(), self._beside(TAKEN), self._beside(ASIDE)
            for mail in mails:
                try:
                    told = _read(mail, key_of, now)
                except FileNotFoundError:  # another daemon was quicker
                    continue
                yield told
                _move(mail, aside if told.problem else taken)
            self.aside = sum(1 for part in ("new", "cur") for _ in (aside.parent / part).iterdir())
        except OSError as error:
            raise ProviderError(
                f"the maildir cannot be used: {error.strerror or type(error).__name__}",
                remedy="It must exist, and this process may read and write it.",
            ) from error

    def _mails(self) -> list[Path]:
        """A mail's name begins with its time."""
        found = [file for part in ("new", "cur") for file in (self.folder / part).iterdir()]
        return sorted((file for file in found if not file.name.startswith(".")), key=lambda file: file.name)

    def _beside(self, name: str) -> Path:
        """Where a folder beside the inbox keeps what was seen; it is made where it is missing."""
        mailbox.Maildir(self.folder, create=False).add_folder(name)
        return self.folder / f".{name}" / "cur"


def _read(mail: Path, key_of: KeyOf, now: datetime) -> Fetched:
    if not mail.is_file() or mail.is_symlink():
        if not mail.is_symlink() and not mail.exists():
            raise FileNotFoundError
        return Fetched(problem="this is no mail")
    try:
        with mail.open("rb") as file:
            raw = file.read(MOST_OCTETS)
    except PermissionError:
        return Fetched(problem="it may not be read")
    return read(raw, key_of, now=now)


def _move(mail: Path, to: Path) -> None:
    try:
        mail.rename(to / f"{mail.name.partition(':')[0]}:2,S")
    except FileNotFoundError:
        return

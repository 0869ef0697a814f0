"""One template as it was at one time: read from the folder, named by its hash, and which of its files a locale gets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.content import locales
from engine.document import suggestion
from engine.errors import Position, Problem, UnknownName, WorkspaceError
from engine.model import Channel

SUFFIXES = frozenset({".html", ".txt", ".css"})
LARGEST_FILE = 250_000

PARTS: Final[Mapping[Channel, Mapping[str, bool]]] = {
    Channel.EMAIL: {"email.subject.txt": True, "email.html": False, "email.txt": True},
    Channel.SMS: {"sms.txt": True},
    Channel.WHATSAPP: {"whatsapp.template.txt": False, "whatsapp.txt": True},
    Channel.MESSENGER: {"messenger.txt": True},
    Channel.TELEGRAM: {"telegram.txt": True},
    Channel.SOCIAL: {"social.txt": True, "social.image.txt": False},
    Channel.WEBHOOK: {"webhook.txt": True},
}
"""The files that make up each channel's message, and whether each must be there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateVersion:
    """One template as it was at one time, with every shared file. `sources`: path under templates/ → text.

    Equal hashes are equal texts. A version holds all that rendering needs, so a message can be rendered again years later.
    """

    name: str
    hash: str
    sources: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """The files that one locale gets. `folder` is below templates/; `language` is None where it is the top folder's."""

    folder: str
    language: str | None
    parts: Mapping[str, str]


# ---------------------------------------------------------------- reading


def read_template(templates: Path, name: str) -> TemplateVersion:
    """Read templates/NAME and the shared folders (those that begin with _). Line ends become LF.

    Raises UnknownName where there is no such folder, WorkspaceError with every file that is not readable text.
    """
    names = sorted(path.name for path in templates.glob("[!_.]*") if path.is_dir()) if templates.is_dir() else []
    if name not in names:
        raise UnknownName(f'there is no template "{name}"', where="templates", remedy=suggestion(name, names))
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    for path in _files(templates, name):
        shown = path.relative_to(templates).as_posix()
        try:
            sources[shown] = _text(path, templates)
        except ValueError as error:
            problems.append(Problem(at=Position(file=f"templates/{shown}"), what=str(error)))
    if problems:
        raise WorkspaceError(problems, folder=templates.parent)
    return TemplateVersion(name=name, hash=_hash(name, sources), sources=sources)


def _files(templates: Path, name: str) -> Iterator[Path]:
    for folder in (*sorted(templates.glob("_*/")), templates / name):
        for path in sorted(folder.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


def _text(path: Path, templates: Path) -> str:
    if not path.resolve().is_relative_to(templates.resolve()):
        raise ValueError("leads out of templates/.")
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8 text.") from error
    if len(raw) > LARGEST_FILE:
        raise ValueError(f"is larger than {LARGEST_FILE:,} bytes.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _hash(name: str, sources: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([name, sorted(sources.items())]).encode()).hexdigest()


# ---------------------------------------------------------------- which files a locale gets


def variant(version: TemplateVersion, channel: Channel, locale: str | None) -> Variant:
    """The nearest folder with a part of the channel: exact locale, language, top. A part it lacks comes from the next."""
    folders = locale_folders(version, channel)
    wanted = [tag for tag in locales.chain(locale) if tag in folders]
    candidates = [(tag, folders[tag]) for tag in wanted] + [(None, version.name)]
    parts = {
        part: path
        for part in PARTS[channel]
        for path in [
            next((f"{folder}/{part}" for _, folder in candidates if f"{folder}/{part}" in version.sources), "")
        ]
        if path
    }
    language, folder = candidates[0]
    return Variant(folder=folder, language=language, parts=parts)


def locale_folders(version: TemplateVersion, channel: Channel) -> dict[str, str]:
    """The locale folders that hold a part of the channel: normal tag → path."""
    found = {}
    for path in version.sources:
        owner, *middle, part = path.split("/")
        if owner == version.name and len(middle) == 1 and part in PARTS[channel] and locales.is_locale(middle[0]):
            found[locales.normal(middle[0])] = f"{owner}/{middle[0]}"
    return found

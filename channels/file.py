"""Messages written into a folder, one file each, instead of being sent: an outbox to look into, or to hand on.

The file is named by the message's key and appears whole or not at all, so a second hand-over is the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo, field_validator

from channels import mime
from engine.errors import ContentError
from engine.model import POSTS, Channel
from engine.provider import (
    Accepted,
    Capabilities,
    EmailContent,
    Http,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderSettings,
    Rejected,
    Verified,
    storable,
    time_left,
)

FOR_EVER = timedelta(days=36_500)
_SAFE = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,150}\Z")


class FileSettings(ProviderSettings):
    """folder: where the files go, made when missing; a relative one lies in the workspace. channel: the one it stands in for."""

    folder: Path = Path("outbox")
    channel: Channel = Channel.EMAIL

    @field_validator("folder")
    @classmethod
    def _in_the_workspace(cls, folder: Path, info: ValidationInfo) -> Path:
        base: Any = (info.context or {}).get("folder")
        return Path(base) / folder if base else folder


class File(Provider):
    Settings = FileSettings
    settings: FileSettings

    def __init__(self, settings: FileSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        email, channel = settings.channel is Channel.EMAIL, settings.channel
        self.capabilities = Capabilities(
            channel=channel,
            idempotency_window=FOR_EVER,
            key_suffices=True,
            html=email,
            headers=email,
            posts=channel in POSTS,
            templates=channel is Channel.WHATSAPP,
            images=channel is Channel.SOCIAL,
        )

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        try:
            time_left(deadline)
            name, data = _written(outgoing)
            _write(self.settings.folder / name, data)
        except ContentError as error:
            return Rejected(code="unsendable", detail=error.what)
        except TimeoutError:
            return NotSent(code="deadline", detail="no time was left")
        except OSError as error:
            return NotSent(code="folder", detail=error.strerror or type(error).__name__)
        return Accepted(provider_message_id=name)

    def verify(self, *, deadline: float) -> Verified:
        folder = self.settings.folder.absolute()
        there = next(place for place in (folder, *folder.parents) if place.exists())
        writable = there.is_dir() and os.access(there, os.W_OK)
        return Verified(
            good=writable, detail="its folder can be written" if writable else "its folder cannot be written"
        )


def _written(outgoing: Outgoing) -> tuple[str, bytes]:
    """The file's name and bytes: a whole email as .eml, an SMS as .txt, any other text as .json."""
    key = (
        outgoing.key
        if _SAFE.match(outgoing.key)
        else hashlib.sha256(outgoing.key.encode("utf-8", "replace")).hexdigest()
    )
    content = outgoing.content
    if isinstance(content, EmailContent):
        return f"{key}.eml", mime.build(outgoing)
    text = storable(content.text)
    if outgoing.channel is Channel.SMS:
        head = f"From: {outgoing.sender}\nTo: {outgoing.to}\nDate: {outgoing.at.isoformat()}\nKey: {outgoing.key}\n"
        return f"{key}.txt", f"{storable(head)}\n{text}".encode()
    record: dict[str, Any] = {
        "key": outgoing.key,
        "from": outgoing.sender,
        "to": outgoing.to,
        "at": outgoing.at.isoformat(),
        "text": text,
    }
    if content.template is not None:
        record["template"] = {"name": content.template.name, "variables": dict(content.template.variables)}
    if content.image is not None:
        record["image"] = content.image
        record |= {"image_alt": storable(content.image_alt)} if content.image_alt else {}
    return f"{key}.json", json.dumps(record, indent=2).encode()


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: written beside, flushed to the disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise

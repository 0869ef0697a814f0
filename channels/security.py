"""How the connection to a mail server is protected, and the files that an operator names for it."""

from __future__ import annotations

import ipaddress
import ssl
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo


class Security(StrEnum):
    """How the connection is protected. `starttls` never falls back to plain text."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


def _in_the_workspace(file: Path, info: ValidationInfo) -> Path:
    folder: Any = (info.context or {}).get("folder")
    return Path(folder) / file if folder else file


InWorkspace = Annotated[Path, AfterValidator(_in_the_workspace)]
"""A file or folder; a relative one lies in the workspace."""


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """What checks a server's certificate: by the machine's authorities, or by this one."""
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


def no_password_in_clear(security: Security, host: str, *, password: bool) -> None:
    """Raises ValueError where a password would travel for everybody to read."""
    if security is Security.NONE and password and not _loopback(host):
        raise ValueError("a password is not sent without TLS: use security: starttls or security: tls")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

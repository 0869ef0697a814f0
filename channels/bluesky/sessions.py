"""Being logged in: one session for all threads, renewed when it is over. Bluesky lets an account log in 30 times in 5 minutes.

https://docs.bsky.app/docs/api/com-atproto-server-create-session
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from engine.errors import SecretMissing
from engine.provider import (
    NO_ACCESS,
    Ambiguous,
    Answer,
    Http,
    NotSent,
    Secret,
    outcome_of_status,
    storable,
    without_personal,
)

EXPIRED = frozenset({"ExpiredToken", "InvalidToken"})
REFUSED = frozenset({"AccountTakedown", "AuthFactorTokenRequired"})
RESET = "ratelimit-reset"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Who we are (`did`), where our records are kept (`host`), and the two tokens: one to act with, one to renew both."""

    did: str
    host: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)


class Sessions:
    """The account's session."""

    def __init__(self, http: Http, *, server: str, handle: str, password: Secret) -> None:
        self._http, self._server = http, server.rstrip("/")
        self._handle, self._password = handle, password
        self._lock = threading.Lock()
        self._session: Session | None = None

    def get(self, deadline: float, *, instead_of: Session | None = None) -> Session | NotSent:
        """The session in force; a new one where there is none, or where it is `instead_of`, which is over."""
        with self._lock:
            if self._session is not None and self._session is not instead_of:
                return self._session
            self._session = None
            try:
                self._password.reveal()  # without it we are nobody, whatever tokens are left
                answer = self._renewed(instead_of, deadline) if instead_of else None
                if not isinstance(answer, Answer) or not answer.good:
                    answer = self.log_in(deadline)
            except SecretMissing as error:
                return NotSent(code="set_up", detail=error.what)
            opened = _session(answer, self._server) if isinstance(answer, Answer) and answer.good else None
            if opened is None:
                return _not_in(answer)
            self._session = opened
            return opened

    def log_in(self, deadline: float) -> Answer | NotSent | Ambiguous:
        """Raises SecretMissing."""
        told = {"identifier": self._handle, "password": self._password.reveal()}
        return self._http.call(
            "POST",
            f"{self._server}/xrpc/com.atproto.server.createSession",
            deadline=deadline,
            headers={"Content-Type": "application/json"},
            body=json.dumps(told).encode(),
        )

    def _renewed(self, over: Session, deadline: float) -> Answer | NotSent | Ambiguous:
        url = f"{over.host}/xrpc/com.atproto.server.refreshSession"
        return self._http.call("POST", url, deadline=deadline, headers={"Authorization": f"Bearer {over.refresh}"})


def _session(answer: Answer, server: str) -> Session | None:
    fields = answer.fields()
    did, access, refresh = (storable(fields.get(name)) for name in ("did", "accessJwt", "refreshJwt"))
    if not (did and access and refresh and access.isascii() and access.isprintable() and refresh.isascii()):
        return None
    return Session(did=did, host=_host(fields.get("didDoc"), server), access=access, refresh=refresh)


def _host(document: Any, server: str) -> str:
    """The server that keeps our records, as the account's own document says; the one we logged in at, where it says none."""
    services = document.get("service") if isinstance(document, Mapping) else None
    for service in services if isinstance(services, list) else ():
        if isinstance(service, Mapping) and storable(service.get("id")).endswith("#atproto_pds"):
            url = storable(service.get("serviceEndpoint"))
            return url.rstrip("/") if _trusted(url, server) else server
    return server


def _trusted(url: str, server: str) -> bool:
    """A token that came over TLS goes out over TLS."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and parts.scheme in ("https", urlsplit(server).scheme)


def _not_in(answer: Answer | NotSent | Ambiguous) -> NotSent:
    """Without a session nothing is handed over, whatever kept it from us."""
    if not isinstance(answer, Answer):
        return NotSent(code="not_logged_in", detail=answer.detail, down=True)
    ended = outcome_of_status(answer, reset=RESET) if not answer.good else None
    error = without_personal(storable(answer.fields().get("error")))
    wait = ended.retry_after if isinstance(ended, NotSent) else None
    refused = answer.status in NO_ACCESS or error in REFUSED
    down = answer.status >= 500
    detail = error or f"http_{answer.status}"
    return NotSent(code="not_logged_in", detail=detail, retry_after=wait, no_access=refused, down=down)

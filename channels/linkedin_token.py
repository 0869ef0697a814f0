"""LinkedIn's tokens: the one in the environment, which ends after 60 days, or those made of a refresh token, which lasts a year.

A refresh token stays the same when it is used, so it may lie in the environment; what is made of it is kept in memory alone.
https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens
https://learn.microsoft.com/en-us/linkedin/shared/authentication/token-introspection
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.provider import (
    Ambiguous,
    Answer,
    Http,
    NotSent,
    Secret,
    counted,
    outcome_of_status,
    reveal,
    storable,
    without_personal,
)

REFUSED = frozenset({400, 401})
"""A refresh token that has ended or was taken back is an invalid_grant, with 400."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """The application, to LinkedIn."""

    id: Secret | str
    secret: Secret

    def fields(self) -> dict[str, str]:
        """Raises SecretMissing."""
        return {"client_id": reveal(self.id), "client_secret": self.secret.reveal()}


class Tokens:
    """The account's token. `client` is needed to renew one, and to be told when one ends."""

    def __init__(
        self, http: Http, *, url: str, token: Secret | None, refresh: Secret | None, client: Client | None
    ) -> None:
        self._http, self._url = http, url.rstrip("/")
        self._given, self._refresh, self._client = token, refresh, client
        self._lock = threading.Lock()
        self._made, self._ends = "", None

    _ends: datetime | None

    @property
    def renewable(self) -> bool:
        return self._refresh is not None

    def get(self, deadline: float, *, instead_of: str = "") -> str | NotSent:
        """The token in force; a new one where it is `instead_of`, which LinkedIn refuses. Raises SecretMissing."""
        if self._refresh is None or self._client is None:
            assert self._given is not None
            return self._given.reveal()
        with self._lock:
            refresh = self._refresh.reveal()  # without it we are nobody, whatever is left in memory
            if self._made and self._made != instead_of:
                return self._made
            asked = {"grant_type": "refresh_token", "refresh_token": refresh, **self._client.fields()}
            answer = self._http.call("POST", f"{self._url}/oauth/v2/accessToken", deadline=deadline, body=asked)
            token = storable(answer.fields().get("access_token")) if isinstance(answer, Answer) and answer.good else ""
            if not isinstance(answer, Answer) or not (token.isascii() and token.isprintable() and token):
                self._made = ""
                return _none(answer)
            left = counted(answer.fields().get("refresh_token_expires_in"))
            self._made, self._ends = token, datetime.now(UTC) + timedelta(seconds=left) if left else None
            return token

    def ends(self, deadline: float) -> datetime | None:
        """When somebody has to log in at LinkedIn again; None where that is not told. Raises SecretMissing."""
        if self.renewable or self._client is None or self._given is None:
            return self._ends
        asked = {"token": self._given.reveal(), **self._client.fields()}
        answer = self._http.call("POST", f"{self._url}/oauth/v2/introspectToken", deadline=deadline, body=asked)
        told = answer.fields().get("expires_at") if isinstance(answer, Answer) and answer.good else None
        return _moment(told)


def _moment(seconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if counted(seconds) else None
    except (ValueError, OverflowError, OSError):
        return None


def _none(answer: Answer | NotSent | Ambiguous) -> NotSent:
    """Without a token nothing is handed over, whatever kept it from us."""
    if not isinstance(answer, Answer):
        return NotSent(code="not_logged_in", detail=answer.detail, down=True)
    ended = outcome_of_status(answer) if not answer.good else None
    wait = ended.retry_after if isinstance(ended, NotSent) else None
    error = without_personal(storable(answer.fields().get("error"))) or f"http_{answer.status}"
    refused, down = answer.status in REFUSED, answer.status >= 500
    return NotSent(code="not_logged_in", detail=error, retry_after=wait, no_access=refused, down=down)

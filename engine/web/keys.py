"""Who calls: API keys, compared by their SHA-256 in constant time."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from engine.settings import Settings
from engine.web.answers import refusal
from engine.web.door import TheDoor

_BEARER = HTTPBearer(auto_error=False, scheme_name="ApiKeyAsBearer", description="Authorization: Bearer YOUR-KEY")
_HEADER = APIKeyHeader(name="X-Api-Key", auto_error=False, scheme_name="ApiKeyInHeader")


def _caller(
    door: TheDoor,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    header: Annotated[str | None, Security(_HEADER)],
) -> str:
    given = bearer.credentials if bearer else header
    return caller(door.workspace().settings, given)


def caller(settings: Settings, given: str | None) -> str:
    """The caller's name: the hash of the key it gave. Answers 503 where no key is configured, 401 where it is none of them."""
    known = configured(settings)
    if not known:
        raise refusal(
            503,
            "no API key is configured, so nobody may call",
            where="config.yaml: api_keys",
            remedy="Write `api_keys: ${env:REGULARS_API_KEYS}` and set that variable to one or more keys with commas between.",
        )
    mine = digest(given or "")
    fits = [hmac.compare_digest(mine, digest(key)) for key in known]  # all of them, so that time tells nothing
    if not given or not any(fits):
        raise refusal(
            401,
            "the API key is missing or wrong",
            where="Authorization",
            remedy="Send `Authorization: Bearer YOUR-KEY`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return mine


def configured(settings: Settings) -> list[str]:
    """The keys in the environment variable that config.yaml names. Raises SecretMissing where it is not set."""
    if settings.api_keys is None:
        return []
    return [key.strip() for key in settings.api_keys.reveal().split(",") if key.strip()]


def digest(key: str) -> str:
    """What stands for a key wherever it is compared or stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


Caller = Annotated[str, Depends(_caller)]
"""The parameter by which an endpoint asks for an API key; put it before the body, so that strangers' bodies are not read."""

"""OAuth 1.0a (RFC 5849): the header that signs a request with the keys of an application and of an account.

By hand, because oauthlib writes both keys into the log while it signs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """The application's key and secret, the account's token and secret."""

    key: str = field(repr=False)
    key_secret: str = field(repr=False)
    token: str = field(repr=False)
    token_secret: str = field(repr=False)


def authorization(keys: Keys, method: str, url: str, *, nonce: str = "", at: int | None = None) -> str:
    """The Authorization header of a request whose body is no form: over its method, address and query (§3.4.1)."""
    told = {
        "oauth_consumer_key": keys.key,
        "oauth_nonce": nonce or secrets.token_hex(16),
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(int(time.time()) if at is None else at),
        "oauth_token": keys.token,
        "oauth_version": "1.0",
    }
    told["oauth_signature"] = _signature(keys, method, url, told)
    return "OAuth " + ", ".join(f'{name}="{_escaped(value)}"' for name, value in told.items())


def _signature(keys: Keys, method: str, url: str, told: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    given = [*told.items(), *parse_qsl(parts.query, keep_blank_values=True)]
    pairs = "&".join(f"{name}={value}" for name, value in sorted((_escaped(n), _escaped(v)) for n, v in given))
    where = f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path}"
    signed = "&".join(_escaped(part) for part in (method.upper(), where, pairs))
    secret = f"{_escaped(keys.key_secret)}&{_escaped(keys.token_secret)}"
    return base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def _escaped(text: str) -> str:
    return quote(text, safe="~")

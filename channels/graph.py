"""Meta's Graph API, as Facebook and Instagram speak it: signed calls, and what its error codes prove.

https://developers.facebook.com/docs/graph-api/guides/error-handling
https://developers.facebook.com/docs/graph-api/guides/secure-requests (appsecret_proof)
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from engine.errors import NoPlainAnswer
from engine.provider import (
    Ambiguous,
    Answer,
    Http,
    NotSent,
    Outgoing,
    ProviderSettings,
    Rejected,
    SecretRef,
    Verified,
    counted,
    outcome_of_status,
    storable,
    taken_at,
    text_of,
    told_to_wait,
)

PAGE, MOST_PAGES = 100, 10
WAIT, LONGEST_WAIT = timedelta(minutes=10), timedelta(hours=1)
DAY_IS_FULL = 9  # so many posts in 24 hours

DUPLICATE = 506

SET_UP = frozenset({3, 10, 24, 25, 102, 104, 190, *range(200, 300), 459, 463, 464, 467})
"""Our token, its permissions or the account itself: nothing was taken, and it can be put right."""

NOT_OURS = frozenset({(100, 33)})
"""The same, by code and subcode: there is no such page or account, or our token may not see it."""

BUSY = frozenset({4, 9, 17, 32, 341, 613, 9007, 80001, 80002})
"""Too much within a time, for the application, the person, the page or the account, or too soon: nothing was taken."""

REFUSED = frozenset({100, 352, 368, 9004, 36000, 36001, 36003, 36004, 1609005, 1609008})
"""This post is not valid, its link or image cannot be read, or it is held to be spam: refused for good."""

DOUBTFUL = frozenset({-2, -1, 1, 2})
"""Meta itself does not know, or was down."""

SPAM = 2207051
"""A subcode of 4: not too much, but not wanted."""


class GraphSettings(ProviderSettings):
    """access_token: of the page or account. app_secret: of the application; each call is then signed with it, and Meta can be
    told to take no others (App settings → Advanced → Require app secret); it signs Meta's webhooks, too. verify_token: a
    word of our own, by which Meta proves that it was told to call us. version: of the Graph API.
    """

    access_token: SecretRef
    app_secret: SecretRef | None = None
    verify_token: SecretRef | None = None
    version: str = Field(default="v25.0", pattern=r"^v\d+\.\d+$")
    base_url: str = Field(default="https://graph.facebook.com", pattern=r"^https?://[^\s]+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """The API with our token. Every call raises SecretMissing where a secret is not set."""

    http: Http
    settings: GraphSettings

    def post(self, path: str, fields: Mapping[str, str], *, deadline: float) -> Answer | NotSent | Ambiguous:
        headers, proof = self._signed()
        return self.http.call("POST", self._url(path), deadline=deadline, headers=headers, body={**fields, **proof})

    def get(self, path: str, query: Mapping[str, str], *, deadline: float) -> Answer | NotSent | Ambiguous:
        headers, proof = self._signed()
        return self.http.call("GET", self._url(path), deadline=deadline, headers=headers, query={**query, **proof})

    def object(self, path: str, query: Mapping[str, str], *, deadline: float) -> Mapping[str, Any]:
        """What is told about one thing. Raises NoPlainAnswer."""
        answer = self.get(path, query, deadline=deadline)
        if not isinstance(answer, Answer):
            raise NoPlainAnswer(answer.code)
        told = answer.fields()
        if not answer.good or not answer.complete or not told or "error" in told:
            raise NoPlainAnswer(f"http_{answer.status}" if not answer.good else "unreadable")
        return told

    def listed(self, path: str, fields: str, *, deadline: float) -> Iterator[Mapping[str, Any]]:
        """Every thing of a list, page after page, the newest first. Raises NoPlainAnswer, also where there is no end."""
        query = {"fields": fields, "limit": str(PAGE)}
        for _ in range(MOST_PAGES):
            told = self.object(path, query, deadline=deadline)
            found = told.get("data")
            if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
                raise NoPlainAnswer("unreadable")
            yield from found
            paging = told.get("paging")
            cursors = paging.get("cursors") if isinstance(paging, dict) and "next" in paging else None
            if not found or not isinstance(cursors, dict):
                return
            query["after"] = storable(cursors.get("after"))
        raise NoPlainAnswer("incomplete")

    def known(self, found: Verified, deadline: float) -> Verified:
        """The same, with when the token ends. Raises SecretMissing."""
        if not found.good:
            return found
        if "//graph.instagram." in self.settings.base_url:
            return replace(
                found, detail=f"{found.detail}; a token of Instagram Login ends 60 days after it was made or renewed"
            )
        return replace(found, ends=self._ends(deadline))

    def _ends(self, deadline: float) -> datetime | None:
        """When our token ends; None where it does not, or where Meta does not tell. Raises SecretMissing.

        https://developers.facebook.com/docs/graph-api/reference/debug_token
        """
        answer = self.get("debug_token", {"input_token": self.settings.access_token.reveal()}, deadline=deadline)
        told = answer.fields().get("data") if isinstance(answer, Answer) and answer.good else None
        seconds = counted(told.get("expires_at")) if isinstance(told, dict) else None
        try:
            return datetime.fromtimestamp(seconds, UTC) if seconds else None  # 0 is never
        except (ValueError, OverflowError, OSError):
            return None

    def _url(self, path: str) -> str:
        return f"{self.settings.base_url.rstrip('/')}/{self.settings.version}/{path}"

    def _signed(self) -> tuple[dict[str, str], dict[str, str]]:
        token, secret = self.settings.access_token.reveal(), self.settings.app_secret
        proof = {"appsecret_proof": app_secret_proof(token, secret.reveal())} if secret else {}
        return {"Authorization": f"Bearer {token}"}, proof


def app_secret_proof(token: str, secret: str) -> str:
    return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()


def code_of(answer: Answer) -> tuple[int, int]:
    """The error's code and subcode; 0 where there is none."""
    error = answer.fields().get("error")
    told = error if isinstance(error, dict) else {}
    code, subcode = told.get("code"), told.get("error_subcode")
    return code if isinstance(code, int) else 0, subcode if isinstance(subcode, int) else 0


def refusal(answer: Answer, words: Callable[[object], str]) -> NotSent | Rejected | Ambiguous:
    """What an answer that is no yes proves. `words`: the provider's, which keep secrets out."""
    number, sub = code_of(answer)
    error = answer.fields().get("error")
    said = storable(error.get("message")) if isinstance(error, dict) else ""
    detail, code = words(said), f"{number}.{sub}" if sub else str(number)
    if "appsecret_proof" in said or (number, sub) in NOT_OURS:  # a 100, as a post that is not valid has
        return NotSent(code=code, detail=detail, no_access=True)
    if sub == SPAM or number in REFUSED:
        return Rejected(code=code, detail=detail)
    if number in BUSY:
        usual = LONGEST_WAIT if number == DAY_IS_FULL else WAIT
        return NotSent(code=code, detail=detail, retry_after=_until_free(answer, usual))
    if number in SET_UP:
        return NotSent(code=code, detail=detail, no_access=True)
    if number in DOUBTFUL or answer.good or (isinstance(error, dict) and error.get("is_transient") is True):
        return Ambiguous(code=code if number else "unreadable", detail=detail)
    return outcome_of_status(answer, code=code if number else "", detail=detail)


def _until_free(answer: Answer, usual: timedelta) -> timedelta:
    """Retry-After, or the minutes that X-Business-Use-Case-Usage tells, or the usual."""
    try:
        told = json.loads(answer.headers.get("x-business-use-case-usage", ""))
        minutes = max(int(use["estimated_time_to_regain_access"]) for uses in told.values() for use in uses)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        minutes = 0
    wait = min(timedelta(minutes=minutes), LONGEST_WAIT) if 0 < minutes < 10_000 else usual
    return told_to_wait(answer.headers, usual=wait)


def of_these_words(
    listed: Iterable[Mapping[str, Any]], words: str, date: str, outgoing: Outgoing
) -> Iterator[tuple[object, bool | None]]:
    """Of a list with the newest first, what says the same under `words`, by its id and by whether it was taken then (`date`)."""
    wanted = text_of(outgoing).strip()
    for one in listed:
        then = taken_at(one.get(date), outgoing.at)
        if then is False:
            return
        if storable(one.get(words)).strip() == wanted:
            yield one.get("id"), then

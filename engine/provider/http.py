"""One HTTP call with one deadline, and what its end proves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from engine.errors import NoPlainAnswer
from engine.images import ImageLimits, Picture, picture
from engine.outside import NotPublic
from engine.provider.outcome import NO_ACCESS, NOT_CONNECTED, Ambiguous, NotSent, Rejected, Verified
from engine.wire import Answer, Broken, Wire

USUAL_WAIT = timedelta(minutes=1)
"""How long a vendor is left alone that asks to wait, and does not say until when."""
A_MOMENT = timedelta(seconds=2)
"""The same, where it is too much for a second."""


class Http(Wire):
    """The HTTP client given to every provider: pooled, redirects never followed, one deadline a call."""

    def call(
        self,
        method: str,
        url: str,
        *,
        deadline: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer | NotSent | Ambiguous:
        """One request, and what its end proves: an Answer, NotSent when no byte of it left, Ambiguous for anything else.

        `deadline` is a `time.monotonic()` instant over the whole exchange; a mapping as body is sent as a form.
        """
        ended = self.exchange(method, url, deadline=deadline, headers=headers, body=body, query=query, auth=auth)
        match ended:
            case Answer():
                return ended
            case Broken(left=False):
                return NotSent(code=NOT_CONNECTED, detail=ended.kind)
            case Broken():
                return Ambiguous(code="no_answer", detail=ended.kind)

    def picture(self, url: str, limits: ImageLimits, *, deadline: float) -> Picture | NotSent | Rejected:
        """An image from where it lies: NotSent where it cannot be had now, Rejected where it is none that the vendor takes.

        The address came with the data, so only the public internet is called, no redirect is followed, and what it is its
        bytes say.
        """
        most = limits.most_bytes + 1
        got = self.exchange("GET", url, deadline=deadline, headers={"Accept": "image/*"}, most=most, outside=True)
        if isinstance(got, Broken):
            if got.kind == NotPublic.__name__:
                return Rejected(code="image_not_public", detail="the image's address is not on the public internet")
            silent = f"the image's address does not answer ({got.kind})"
            return NotSent(code="image_no_answer", detail=silent, alone=True)
        if not got.good or not got.complete:
            led = "; redirects are not followed: write where it leads to" if 300 <= got.status < 400 else ""
            return NotSent(code=f"image_http_{got.status}", detail=f"the image cannot be fetched{led}", alone=True)
        found = picture(got.body)
        if found is None:
            return Rejected(code="image_type", detail="what lies at the image's address is no JPEG, PNG, GIF or WebP")
        wrong = limits.objection(found)
        return Rejected(code=wrong[0], detail=wrong[1]) if wrong else found

    def ask(
        self,
        method: str,
        url: str,
        *,
        deadline: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Any:
        """The JSON with which a vendor answers a question, for `look_up`. Raises NoPlainAnswer for anything but all of it."""
        answer = self.call(method, url, deadline=deadline, headers=headers, body=body, query=query, auth=auth)
        if not isinstance(answer, Answer):
            raise NoPlainAnswer(answer.code)
        if not answer.good or not answer.complete:
            raise NoPlainAnswer(f"http_{answer.status}")
        try:
            return json.loads(answer.text)
        except (ValueError, RecursionError) as error:
            raise NoPlainAnswer("unreadable") from error


def verified(answer: Answer | NotSent | Ambiguous, detail: str = "") -> Verified:
    """What an answer to a question with our credentials tells; `detail` for a good one."""
    if isinstance(answer, NotSent) and answer.no_access:
        return Verified(good=False, detail=f"the credentials are refused ({answer.detail or answer.code})")
    if not isinstance(answer, Answer):
        return Verified(good=False, detail=f"no answer ({answer.detail or answer.code})")
    if answer.good:
        return Verified(good=True, detail=detail)
    known = {401: "the credentials are refused", 403: "the credentials lack a right that is needed"}
    return Verified(good=False, detail=f"{known.get(answer.status, 'no plain answer')} ({answer.status})")


def retry_after(
    headers: Mapping[str, str], *, now: datetime | None = None, cap: timedelta = timedelta(hours=1)
) -> timedelta | None:
    """Retry-After in both its forms (RFC 9110 §10.2.3), at most `cap`; None where it is absent or makes no sense."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), cap)
    try:
        until = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - (now or datetime.now(UTC)), timedelta()), cap)


def until_reset(
    headers: Mapping[str, str], name: str, *, now: datetime | None = None, cap: timedelta = timedelta(hours=1)
) -> timedelta | None:
    """How long until a vendor's limit begins anew, by a header that tells the second since 1970, or the time in ISO 8601; at most
    `cap`, None where it is absent or makes no sense.
    """
    value = headers.get(name, "").strip()
    try:
        at = int(value[:12]) if value.isascii() and value.isdigit() else _seconds(value)
    except (ValueError, OverflowError):
        return None
    left = at - (now or datetime.now(UTC)).timestamp()
    return min(timedelta(seconds=max(left, 0)), cap)


def _seconds(written: str) -> float:
    """The second since 1970 of a time in ISO 8601, in UTC where it tells no zone. Raises ValueError."""
    at = datetime.fromisoformat(written)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def told_to_wait(headers: Mapping[str, str], *resets: str, usual: timedelta = USUAL_WAIT) -> timedelta:
    """How long a vendor that asks to wait is left alone: by Retry-After, else by the first of its headers `resets` that tells it, else the
    `usual`. Never None: being told to wait uses up no attempt, however little is told.
    """
    told = (retry_after(headers), *(until_reset(headers, name) for name in resets))
    return next((wait for wait in told if wait is not None), usual)


def outcome_of_status(
    answer: Answer, *, code: str = "", detail: str = "", reset: str = ""
) -> NotSent | Rejected | Ambiguous:
    """The evidence in an HTTP status that is no success: the default for every vendor, refined by each one's own codes.

    reset: the header that tells when a limit begins anew, where the vendor sends that in place of Retry-After.

    429: surely not taken, and we are told to wait. 401, 402: we are refused, not the message. 301, 307, 308, 401 to 405: our set-up is wrong, nothing was taken, and it can be put right.
    Other 4xx but 408, 409, 425: the vendor read this message and refused it. Everything else proves nothing.
    """
    code = code or f"http_{answer.status}"
    if answer.status == 429:
        return NotSent(code=code, detail=detail, retry_after=told_to_wait(answer.headers, reset))
    if answer.status in (301, 307, 308, 401, 402, 403, 404, 405):
        return NotSent(code=code, detail=detail, no_access=answer.status in NO_ACCESS)
    if 400 <= answer.status < 500 and answer.status not in (408, 409, 425):
        return Rejected(code=code, detail=detail)
    return Ambiguous(code=code, detail=detail)


def surely_not(refused: NotSent | Rejected | Ambiguous) -> NotSent | Rejected:
    """Of a request that only prepares, like an upload: what it may have left behind is seen by nobody, nothing was published."""
    return NotSent(code=refused.code, detail=refused.detail) if isinstance(refused, Ambiguous) else refused


def prepared(
    ended: Answer | NotSent | Ambiguous, refusal: Callable[[Answer], NotSent | Rejected | Ambiguous]
) -> Answer | NotSent | Rejected:
    """How a request ended that only prepares: the vendor's yes, or why nothing was published (`surely_not`)."""
    if isinstance(ended, Answer) and ended.good:
        return ended
    return surely_not(refusal(ended) if isinstance(ended, Answer) else ended)

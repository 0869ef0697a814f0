"""The twilio package's calls, carried by ours: one deadline over the whole, and how it ended is kept."""

from __future__ import annotations

import logging
import threading
from urllib.parse import urlsplit

from twilio.http import HttpClient
from twilio.http.response import Response

from engine.provider import Ambiguous, Answer, Http, NotSent


class NoAnswer(Exception):
    """Ends the package's call where there is no answer to give it."""


class _Call(threading.local):
    """This thread's call: until when it may last, and how it ended."""

    deadline = 0.0
    ended: Answer | NotSent | Ambiguous = NotSent(code="not_built")


class Through(HttpClient):  # type: ignore[misc]  # the package ships no types
    """The package's HTTP client: hands each call to ours, and keeps how it ended."""

    def __init__(self, http: Http, base_url: str | None) -> None:
        super().__init__(logging.getLogger(__name__), False)
        self.http, self.base_url, self.call = http, base_url, _Call()

    def begin(self, deadline: float) -> None:
        self.call.deadline = deadline
        self.call.ended = NotSent(code="not_built", detail="the request could not be built")

    def request(
        self,
        method: str,
        uri: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        url = self.base_url.rstrip("/") + urlsplit(uri).path if self.base_url else uri
        ended = self.call.ended = self.http.call(
            method, url, deadline=self.call.deadline, headers=headers, body=data, query=params, auth=auth
        )
        if not isinstance(ended, Answer):
            raise NoAnswer
        return Response(ended.status, ended.text, ended.headers)

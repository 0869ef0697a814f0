"""A Mastodon server of one's own: takes statuses, and remembers idempotency keys."""

from __future__ import annotations

import re
from collections.abc import Callable

from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request


class MastodonVendor(HttpVendor):
    """A status over `limit` characters is refused. `forget` lets the hour pass after which keys are forgotten."""

    def __init__(
        self,
        *,
        access_token: str = "token-for-tests",  # noqa: S107
        limit: int = 500,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._token, self._limit = access_token, limit
        self._answers: dict[str, Reply] = {}

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return Reply(status=401, body={"error": "The access token is invalid"}), None
        if (request.method, request.path) != ("POST", "/api/v1/statuses"):
            return Reply(status=404, body={"error": "Record not found"}), None
        key = request.headers.get("idempotency-key")
        if key in self._answers:
            return self._answers[key], None
        form = request.form()
        text, visibility = form.get("status", ""), form.get("visibility", "public")
        if not text or len(text) > self._limit:
            return Reply(
                status=422, body={"error": f"Validation failed: Text character limit of {self._limit} exceeded"}
            ), None
        number = str(110_000_000_000_000_000 + len(self.accepted))
        answer = Reply(status=200, body={"id": number, "visibility": visibility, "content": text})
        if key:
            self._answers[key] = answer
        named = re.match(r"@\S+", text) if visibility == "direct" else None
        received = Received(
            key=key,
            to=named[0] if named else None,
            text=text,
            headers={"visibility": visibility},
            provider_message_id=number,
            request=request,
        )
        return answer, received

    def forget(self) -> None:
        """An hour later: no key is known any more."""
        self._answers.clear()

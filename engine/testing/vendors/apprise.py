"""A service behind Apprise: takes a notification as its `json://` sends it."""

from __future__ import annotations

from engine.testing.vendors.server import HttpVendor, Received, Reply, Request


class AppriseVendor(HttpVendor):
    """The message's place is the path after the token: nothing for a post, `/to/…` for somebody."""

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        _, _, to = request.path.partition("/to/")
        text = request.json()["message"]
        return Reply(status=200, body=b"ok"), Received(key=None, to=to or None, text=text, request=request)

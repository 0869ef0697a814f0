"""A post with an image, from its schedule to four networks: the daemon as an operator has it, images over HTTPS."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.clock import SteppedClock
from engine.model import State
from engine.store import Database
from engine.testing.vendors.bluesky import HANDLE, BlueskyVendor
from engine.testing.vendors.images import ImageHost, png
from engine.testing.vendors.linkedin import ORGANISATION, LinkedInVendor
from engine.testing.vendors.mastodon import MastodonVendor
from engine.testing.vendors.server import HttpVendor, Reply, Reset, Silence
from engine.testing.vendors.x import XVendor
from tests.channels.certificates import authority
from tests.daemon.test_daemon import PATIENCE, count, daemon, log, wait_for
from tests.sending.shop import CONFIG, Shop

POST = """
campaign: post
audience: public
schedule: {{at: {at}, time_zone: UTC}}
channel: social
providers: [mastodon, bluesky, linkedin, x]
class: commercial
purpose: offers
"""
PROVIDERS = """
  mastodon: {{use: mastodon, server: "{mastodon}", access_token: "${{env:T_TOKEN}}", notifications: false}}
  bluesky: {{use: bluesky, handle: {handle}, app_password: "${{env:T_TOKEN}}", server: "{bluesky}", notifications: false}}
  linkedin: {{use: linkedin, author: "{author}", access_token: "${{env:T_TOKEN}}", base_url: "{linkedin}"}}
  x: {{use: x, oauth2_token: "${{env:T_TOKEN}}", base_url: "{x}"}}
channels:
  social: {{commercial: {{providers: [mastodon, bluesky, linkedin, x], from: "@shop"}}}}
"""


class SecureHost(ImageHost):
    """The same over TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context

    def _serve(self, connection: socket.socket) -> None:
        try:
            secure = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            return
        super()._serve(secure)


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecureHost]:
    ca_file, context = authority(tmp_path_factory.mktemp("authority"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    monkeypatch.setenv("T_TOKEN", "token-for-tests")
    with SecureHost(context) as host:
        yield host


def set_up(shop: Shop, url: str, vendors: dict[str, HttpVendor], host: SecureHost, *, inside: bool) -> None:
    """A post in eight seconds, by all four."""
    places = {name: vendor.url for name, vendor in vendors.items()}
    named = PROVIDERS.format(**places, handle=HANDLE, author=ORGANISATION).lstrip("\n")
    ours = f"lease: 10 seconds, image_hosts: [{'localhost' if inside else ''}]"
    config = CONFIG.replace("channels:\n", named).replace("lease: 60 seconds", ours) + f"database: {url}\n"
    (shop.folder / "config.yaml").write_text(config, encoding="utf-8")
    (shop.folder / "templates/post").mkdir()
    (shop.folder / "templates/post/social.txt").write_text("New, for {{ provider }}", encoding="utf-8")
    address = host.url.replace("http://127.0.0.1", "https://localhost")
    image = f"{address}/new.png\nA record on a table\n"
    (shop.folder / "templates/post/social.image.txt").write_text(image, encoding="utf-8")
    at = (datetime.now(UTC) + timedelta(seconds=8)).replace(tzinfo=None).isoformat(timespec="seconds")
    (shop.folder / "rules/post.yaml").write_text(POST.format(at=at), encoding="utf-8")


@pytest.mark.parametrize("inside", [True, False])
def test_a_post_with_an_image_reaches_four_networks_once(
    tmp_path: Path, database: Database, database_url: str, now: datetime, host: SecureHost, inside: bool
) -> None:
    """Uploads that fail, a post whose answer is lost while its image changes: in the end one post each, with its image and what
    it shows. Where the image lies inside, and nobody has allowed that, nothing is asked of anybody.
    """
    shop = Shop(tmp_path, database, customers=1, clock=SteppedClock(now))
    with ExitStack() as open_vendors:
        made: dict[str, HttpVendor] = {
            "mastodon": MastodonVendor(),
            "bluesky": BlueskyVendor(),
            "linkedin": LinkedInVendor(),
            "x": XVendor(oauth2_token="token-for-tests"),
        }
        vendors = {name: open_vendors.enter_context(vendor) for name, vendor in made.items()}
        set_up(shop, database_url, vendors, host, inside=inside)
        vendors["mastodon"].fail_preparing(Silence(taken=True))
        vendors["linkedin"].fail_preparing(None, Reset(taken=True))
        vendors["x"].fail_preparing(None, Reply(status=503))
        vendors["bluesky"].fail_next(Silence(taken=True))
        with daemon(shop) as process:
            if inside:
                wait_for(shop, "Bluesky has it", lambda: len(vendors["bluesky"].accepted) == 1)
                host.images["/new.png"] = png(9, 9)
            wanted = State.ACCEPTED if inside else State.REJECTED
            wait_for(shop, "all four are settled", lambda: count(shop, wanted, "post") == 4)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        taken = {
            name: [(one.text, one.image_alt, bool(one.image_data)) for one in vendor.accepted]
            for name, vendor in vendors.items()
        }
        assert taken == {
            name: [(f"New, for {name}", "A record on a table", True)] if inside else [] for name in vendors
        }
        assert host.requests >= 7 if inside else not host.requests  # all but Bluesky's twice
        assert not inside or vendors["bluesky"].accepted[0].image_data == png()
    assert "token-for-tests" not in log(shop)

"""Opens and clicks are recorded with who made them, and a link leads only where a message once led."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from starlette.testclient import TestClient

from engine.ledger.machines import RULE
from engine.settings import Tracking
from engine.store.tables import events, facts, messages
from engine.web.app import create_app
from tests.web.conftest import Shop, path_of, without_database

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
MACHINES = {
    "apple_mail_privacy": "Mozilla/5.0",
    "gmail_prefetch": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0",
    "scanner": "BarracudaCentral scanner/1.0",
    "robot": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "program": "python-requests/2.32",
    "no_agent": "",
}


def look(shop: Shop, path: str, agent: str = BROWSER, method: str = "GET", **headers: str) -> Any:
    return shop.client.request(method, path, headers={"User-Agent": agent, **headers})


def test_a_persons_open_is_recorded(shop: Shop) -> None:
    """Through Gmail's proxy, which fetches when the person opens; and is not to be kept by it, so that each open counts."""
    message = shop.sent()
    answer = look(shop, path_of(shop.door.links.open(message)), GMAIL)
    assert (answer.status_code, answer.headers["Content-Type"], answer.content[:6]) == (200, "image/gif", b"GIF89a")
    assert answer.headers["Cache-Control"] == "no-store"
    assert shop.rows(messages)[0]["opened_at"] == shop.clock.now()
    assert "machine" not in shop.engagements("opened")[0]


def test_a_machines_open_and_click_are_kept_but_count_for_nobody(shop: Shop) -> None:
    """The event says which program it was, and that it was a machine, by which rule; the message stays unopened."""
    message, target = shop.sent(), shop.link("https://shop.example/new")
    for agent in MACHINES.values():
        shop.clock.set(shop.clock.now() + timedelta(seconds=1))
        look(shop, path_of(shop.door.links.open(message)), agent)
        look(shop, path_of(shop.door.links.click(message, target)), agent)
    for name in ("opened", "clicked"):
        found = shop.engagements(name)
        assert [event["because"] for event in found] == list(MACHINES)
        assert all(event["machine"] and event["rule"] == RULE for event in found)
        assert [event["agent"] for event in found] == list(MACHINES.values())
    [row] = shop.rows(messages)
    assert (row["opened_at"], row["clicked_at"]) == (None, None)


def test_a_scanner_that_follows_every_link_is_no_person_and_unsubscribes_nobody(shop: Shop) -> None:
    """HEAD and GET over all links, in the first second after the provider took the message."""
    message, target = shop.sent(), shop.link("https://shop.example/new")
    with shop.database.writing() as connection:
        connection.execute(update(messages).values(accepted_at=shop.clock.now() - timedelta(seconds=1)))
    made = shop.door.links
    for url in (made.click(message, target), made.unsubscribe(message), made.open(message)):
        look(shop, path_of(url), method="HEAD")
    shop.clock.set(shop.clock.now() + timedelta(milliseconds=1))
    for url in (made.click(message, target), made.unsubscribe(message)):
        look(shop, path_of(url))
    assert [event["because"] for event in shop.engagements("clicked")] == ["head", "too_fast"]
    assert shop.rows(messages)[0]["clicked_at"] is None
    assert shop.opt_outs() == 0


def test_a_browser_that_fetches_ahead_is_no_click(shop: Shop) -> None:
    """Browsers say so in Sec-Purpose."""
    message, target = shop.sent(), shop.link("https://shop.example/new")
    look(shop, path_of(shop.door.links.click(message, target)), **{"Sec-Purpose": "prefetch;prerender"})
    assert shop.engagements("clicked")[0]["because"] == "prefetch"


def test_the_pixel_never_breaks(shop: Shop) -> None:
    """A token that is no token gets the same image, and leaves no event."""
    good = look(shop, path_of(shop.door.links.open(shop.sent())))
    for token in ("x.gif", "x", "a/b.gif", "%00.gif", "é.gif", ".gif", "x" * 5000):
        bad = look(shop, f"/o/{token}")
        assert (bad.status_code, bad.content) == (200, good.content), token
    assert shop.count(events) == 1


def test_without_a_database_the_pixel_does_not_break_and_a_click_gets_a_page(shop: Shop) -> None:
    """An open is lost, the reader's mail stays whole; who clicks is asked to try again."""
    client, made = without_database(shop), shop.door.links
    assert client.get(path_of(made.open(1))).headers["Content-Type"] == "image/gif"
    answer = client.get(path_of(made.click(1, 1)))
    assert (answer.status_code, "<h1>One moment, please</h1>" in answer.text) == (503, True)


def test_a_click_leads_to_the_stored_url_and_is_recorded(shop: Shop) -> None:
    """The target does not learn the link."""
    message, target = shop.sent(), shop.link("https://shop.example/new")
    answer = look(shop, path_of(shop.door.links.click(message, target)))
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://shop.example/new")
    assert (answer.headers["Referrer-Policy"], answer.headers["X-Robots-Tag"]) == ("no-referrer", "noindex, nofollow")
    assert shop.rows(messages)[0]["clicked_at"] == shop.clock.now()
    assert shop.engagements("clicked") == [{"link": target, "rule": RULE, "agent": BROWSER, "provider": "link"}]


def test_a_stored_url_is_led_to_byte_for_byte(shop: Shop) -> None:
    """But for what a header cannot carry, which is escaped as a browser would."""
    message = shop.sent()
    urls = {each: each for each in ("https://shop.example/new?a=1&b=%2F;c#part", "http://shop.example/~x/(1)/'q'|{}")}
    urls["https://shop.example/näytä?q=ä b\r\nX: y"] = "https://shop.example/n%C3%A4yt%C3%A4?q=%C3%A4%20b%0D%0AX:%20y"
    for stored, sent in urls.items():
        answer = look(shop, path_of(shop.door.links.click(message, shop.link(stored))))
        assert (answer.status_code, answer.headers["Location"]) == (302, sent)
        assert "X" not in answer.headers


def test_nothing_but_a_stored_url_of_ours_is_led_to(shop: Shop) -> None:
    """Changed tokens, other purposes' tokens, links that are not there, and schemes that are no web page: 404, no Location."""
    message, good, script = shop.sent(), shop.link("https://shop.example/new"), shop.link("javascript:alert(1)")
    made = shop.door.links
    token = path_of(made.click(message, good)).removeprefix("/c/")
    changed = [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token))
    ]
    others = [made.click(message, 999), made.click(999, good), made.click(message, script)]
    paths = [f"/c/{one}" for one in changed] + [path_of(url) for url in others]
    paths += [
        path_of(made.unsubscribe(message)).replace("/u/", "/c/"),
        "/c/x?url=https://evil.example",
        "/c/https:%2F%2Fevil.example",
    ]
    for path in paths:
        answer = look(shop, path)
        assert answer.status_code == 404, path
        assert "Location" not in answer.headers
    assert shop.count(events) == 0


# ---------------------------------------------------------------- from where


def behind(shop: Shop, peer: str, **tracking: Any) -> Shop:
    """The same shop with these settings, asked from an address."""
    workspace = shop.door.workspace()
    settings = workspace.settings.model_copy(update={"tracking": Tracking.model_validate(tracking)})
    door = replace(shop.door, workspace=lambda: replace(workspace, settings=settings))
    client = TestClient(create_app(door), follow_redirects=False, client=(peer, 50_000))
    return replace(shop, door=door, client=client)


def whence(shop: Shop, forwarded: str = "") -> Any:
    """The address that is kept with an open."""
    message = shop.sent(f"c{shop.count(events)}")
    look(shop, path_of(shop.door.links.open(message)), **({"X-Forwarded-For": forwarded} if forwarded else {}))
    return shop.engagements("opened")[-1].get("from")


def test_where_somebody_is_is_kept_only_for_who_knows_scanners(shop: Shop) -> None:
    """Without ranges nobody could judge by it, and it is somebody's."""
    assert whence(behind(shop, "192.0.2.7")) is None
    known = behind(shop, "198.51.100.7", scanners=["192.0.2.0/24"])
    with shop.database.writing() as connection:
        connection.execute(insert(facts).values(name="scanners", value='["192.0.2.0/24"]'))
    assert whence(known) == "198.51.100.7" and "machine" not in shop.engagements("opened")[-1]
    assert whence(behind(shop, "192.0.2.7", scanners=["192.0.2.0/24"])) == "192.0.2.7"
    assert shop.engagements("opened")[-1]["because"] == "scanner_address"


def test_only_our_own_proxies_are_believed(shop: Shop) -> None:
    """The last address that is no proxy's; what stands before it anybody may have written."""
    told = {"scanners": ["192.0.2.0/24"]}
    assert whence(behind(shop, "127.0.0.1", **told), "203.0.113.5, 198.51.100.9") == "198.51.100.9"
    assert whence(behind(shop, "198.51.100.1", **told), "192.0.2.7") == "198.51.100.1"
    proxies = {**told, "proxies": ["10.0.0.0/8"]}
    assert whence(behind(shop, "10.0.0.1", **proxies), "192.0.2.7, 198.51.100.9, 10.0.0.2") == "198.51.100.9"
    for forwarded in ("", "10.0.0.2", "unknown", "192.0.2.7, nonsense"):
        assert whence(behind(shop, "10.0.0.1", **proxies), forwarded) is None, forwarded
    assert whence(behind(shop, "testclient", **told)) is None


def test_a_range_that_is_none_is_refused() -> None:
    """With how it is written; one address is a range of itself."""
    assert Tracking.model_validate({"scanners": ["192.0.2.7"]}).scanners == ("192.0.2.7/32",)
    for wrong in ("192.0.2.7/24", "example.com", "300.1.1.1"):
        with pytest.raises(ValueError, match=r"192\.0\.2\.0/24"):
            Tracking.model_validate({"scanners": [wrong]})

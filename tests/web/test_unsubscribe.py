"""One click unsubscribes (RFC 8058), a look does not, and nobody is unsubscribed by another's link."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from engine.store.tables import consents, events, messages
from engine.web import pages
from tests.web.conftest import Shop, path_of, without_database

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def link(shop: Shop, message: int) -> str:
    return path_of(shop.door.links.unsubscribe(message))


def test_looking_a_hundred_times_changes_nothing(shop: Shop) -> None:
    """Scanners GET and HEAD every link of a mail; the page only asks."""
    where = link(shop, shop.sent())
    before = shop.rows(messages)
    for _ in range(100):
        assert shop.client.get(where).status_code == shop.client.head(where).status_code == 200
    assert shop.opt_outs() == shop.count(events) == 0
    assert shop.rows(messages) == before
    assert '<form method="post">' in shop.client.get(where).text


@pytest.mark.parametrize("form", [{"data": ONE_CLICK}, {"files": {"List-Unsubscribe": (None, "One-Click")}}])
def test_the_mailbox_providers_post_unsubscribes_in_both_encodings(shop: Shop, form: dict[str, Any]) -> None:
    """Without cookies, key, origin or referrer; written before the 200; no redirect and no cookie back; twice is once."""
    where = link(shop, shop.sent())
    for _ in range(2):
        answer = shop.client.post(where, **form, headers={"Origin": "https://mail.example"})
        assert answer.status_code == 200
        assert "Location" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        [consent] = shop.rows(consents, consents.c.status == "opted_out")
    assert (consent["purpose"], consent["source"], consent["proof"]) == ("offers", "link", "one-click (RFC 8058)")
    assert shop.rows(messages)[0]["opted_out_at"] == shop.clock.now()


def test_the_pages_button_unsubscribes_too(shop: Shop) -> None:
    """And the proof tells which of the two it was."""
    where = link(shop, shop.sent())
    answer = shop.client.post(where, data={"button": "yes"})
    assert "You are unsubscribed" in answer.text
    assert shop.rows(consents, consents.c.status == "opted_out")[0]["proof"] == "button on the unsubscribe page"


def test_no_change_of_a_link_unsubscribes_anybody(shop: Shop) -> None:
    """Every flipped character, a cut token and a token for another purpose lead to the 404 page."""
    message = shop.sent()
    token = link(shop, message).removeprefix("/u/")
    changed = [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token))
    ]
    others = [path_of(shop.door.links.click(message, 1))[3:], path_of(shop.door.links.open(message))[3:-4]]
    for wrong in [*changed, token[:-1], token + "A", "x", *others]:
        answer = shop.client.post(f"/u/{wrong}", data=ONE_CLICK)
        assert (answer.status_code, "does not work" in answer.text) == (404, True)
        assert shop.client.get(f"/u/{wrong}").status_code == 404
    assert shop.opt_outs() == 0


def test_a_link_unsubscribes_its_own_reader_from_its_own_purpose(shop: Shop) -> None:
    """The link alone says who and what: Ben's offers, not Ana's, and not Ben's receipts."""
    shop.sent("ana")
    bens = shop.sent("ben")
    shop.client.post(link(shop, bens), data=ONE_CLICK)
    [consent] = shop.rows(consents, consents.c.status == "opted_out")
    assert (consent["contact_point_id"], consent["purpose"]) == (shop.rows(messages)[1]["contact_point_id"], "offers")


def test_a_genuine_link_to_a_message_that_is_not_there_claims_nothing(shop: Shop) -> None:
    """No page says "unsubscribed" where no opt-out was written."""
    assert shop.client.post(link(shop, 4711), data=ONE_CLICK).status_code == 404


def test_where_the_database_does_not_answer_the_page_says_so(shop: Shop) -> None:
    """503 lets the mailbox provider try again; the reader gets a page; what the database said stays inside."""
    answer = without_database(shop).post(link(shop, 1), data=ONE_CLICK)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "<h1>One moment, please</h1>" in answer.text
    assert "unable to open" not in answer.text


class References(HTMLParser):
    """Collects whatever a page would load or follow."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "action", "style", "onclick")]
        self.found += [tag] if tag in ("script", "link", "iframe", "img") else []


def test_a_page_loads_nothing_and_is_nobody_elses(shop: Shop) -> None:
    """No external resource, no script, no cookie; the policy forbids them, and the link is told to nobody."""
    answer = shop.client.get(link(shop, shop.sent()))
    references = References()
    references.feed(answer.text)
    assert references.found == []
    assert "http" not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert "Set-Cookie" not in answer.headers


def test_a_title_is_shown_as_text(shop: Shop) -> None:
    """What the marketer wrote in config.yaml is never markup."""
    page = shop.client.get(link(shop, shop.sent())).text
    assert "“Offers &amp; &lt;news&gt;”" in page
    assert "<news>" not in page


@pytest.mark.parametrize(("locale", "language"), [("fi", "fi"), ("de-AT", "de"), ("pt-BR", "en"), ("", "en")])
def test_the_page_speaks_the_readers_language_where_it_can(locale: str, language: str) -> None:
    """By the locale's language, else English, and the page says which it is."""
    page = bytes(pages.ask("Offers", locale).body).decode()
    assert f'<html lang="{language}">' in page
    assert pages.LANGUAGES[language].button in page

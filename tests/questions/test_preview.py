"""`regulars preview` through the command itself: what it shows is what a sender hands over, and nothing is changed by looking."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from engine.cli.app import app, fail
from engine.cli.html_words import words_of
from engine.clock import SteppedClock
from engine.content.links import Links
from engine.errors import RegularsError
from engine.ledger import brakes, consent
from engine.model import Channel, SuppressionReason
from engine.provider import EmailContent
from engine.questions.plan import plan
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import metadata
from tests.conftest import NOW, SECRET
from tests.sending.shop import CONFIG, NEWS, RECEIPT, Shop

MORE = """
  pigeon: {use: file, channel: sms, folder: texts}
  raven: {use: file, channel: sms, folder: texts}
  wall: {use: file, channel: social, folder: wall}
  board: {use: file, channel: social, folder: board}
channels:
  sms: {commercial: {providers: [pigeon, raven], from: "+358401234567"}}
  social: {commercial: {providers: [wall, board], from: Records}}
"""
PRICES = "prices: {email: 0.001, sms: {FI: 0.05, default: 0.08}}\n"
POST = """
campaign: post
audience: public
schedule: {cron: "0 12 * * *"}
channel: social
class: commercial
purpose: offers
providers: [wall, board]
variants: [short, long]
"""
FILES = {
    "rules/texts.yaml": NEWS.replace("campaign: news", "campaign: texts").replace("email", "sms"),
    "rules/receipt.yaml": RECEIPT.replace("{order: text}", "{order: text, amount: number, at: time}"),
    "rules/post.yaml": POST,
    "templates/news/email.html": "<html><head><style>p {color: red}</style></head><body><p>Hello <b>{{ customer.first_name }}</b>, see "
    "<a href='https://shop.example/new'>what is new</a></p><a href=\"{{ links.unsubscribe }}\">Leave</a></body></html>",
    "templates/texts/sms.txt": "Hi {{ customer.first_name }}, [bold]20%[/bold] off :smile:. Reply STOP",
    "templates/texts/fi/sms.txt": "Hei {{ customer.first_name }} 🎵, " + "uutta! " * 12 + "STOP",
    "templates/receipt/email.txt": "Order {{ data.order }}: {{ data.amount | money('EUR') }}, {{ data.at | date }}.",
    "templates/post/social.txt": "{% if variant == 'long' %}A long story, {% endif %}by {{ provider }}",
    "templates/post/social.image.txt": "https://shop.example/new.jpg\nA record\n",
}
PEOPLE = [
    {"id": "c1", "first_name": "Ana", "locale": "fi", "sms": "+358401112222"},
    {"id": "c2", "first_name": "Ben & Co", "locale": "en-GB", "sms": "+12125550001"},
    {"id": "c3", "locale": "en"},
]
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shop(tmp_path: Path, database: Database, database_url: str) -> Shop:
    """Three customers: a Finn, a Briton with an American number, and one of whom nothing but an address is known."""
    agreed = {"consent.email.offers": "yes", "consent.sms.offers": "yes"}
    people = [
        {
            **one,
            "email": f"{one['id']}@customers.example",
            **(agreed if "sms" in one else {"consent.email.offers": "yes"}),
        }
        for one in PEOPLE
    ]
    shop = Shop(tmp_path, database, SteppedClock(NOW), rows=people)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    config = CONFIG.replace("channels:\n", MORE.lstrip("\n")) + PRICES + f"database: {database_url}\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    shop.workspace = load_workspace(tmp_path)
    return shop


@pytest.fixture
def ask(shop: Shop, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Its exit status, and what it says on stdout and stderr."""

    def asked(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            app(["preview", *words, "--now", "2026-03-02T12:00Z", "-w", str(shop.folder)])
        except SystemExit as ended:
            status = int(ended.code or 0)
        except RegularsError as error:  # as engine.cli.main
            status = fail(error)
        said = capsys.readouterr()
        return status, said.out, said.err

    return asked


def found(ask: Ask, *words: str, status: int = 0) -> Any:
    ended, out, err = ask(*words, "--json")
    assert ended == status, err
    return json.loads(out)


def everything(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def leading_nowhere(text: str) -> str:
    return re.sub(r"\S+/u/[^\s\">]+", "LINK", text)


def test_an_email_is_what_a_sender_hands_over(shop: Shop, ask: Ask, tmp_path: Path) -> None:
    """To the letter, but for the links; those of a preview are signed with a key that nobody takes. Looking changes nothing."""
    before, page = everything(shop.database), tmp_path / "page.html"
    told = found(ask, "news", "--customer", "c1", "--html", str(page))
    assert everything(shop.database) == before
    shown = told["messages"][0]
    link = re.search(r"/u/(\S+?)[.]? ", shown["content"]["text"] + " ")
    assert link is not None and Links(SECRET, "").read_unsubscribe(link[1].rstrip(".")) is None
    assert page.read_bytes().decode("utf-8-sig") == shown["content"]["html"]
    assert page.read_bytes().startswith(b"\xef\xbb\xbf")

    shop.launch()
    shop.sender().drain()
    sent = next(one for one in shop.provider.taken if one.to == "c1@customers.example")
    assert isinstance(sent.content, EmailContent)
    assert (shown["provider"], shown["sender"], shown["to"]) == ("scripted", sent.sender, "")
    assert shown["content"]["subject"] == sent.content.subject
    assert leading_nowhere(shown["content"]["text"]) == leading_nowhere(sent.content.text)
    assert list(shown["content"]["headers"]) == list(sent.content.headers)
    assert (shown["template"], shown["price"], told["locale"], told["sent"]) == ("news", "0.001", "fi", True)


def test_the_page_of_an_email(shop: Shop, ask: Ask) -> None:
    """Everything beside the words, both parts' words, and where the HTML is; the address only where it is asked for."""
    status, out, _ = ask("news", "--customer", "c1")
    assert status == 0
    for line in (
        "Preview of news for customer c1, locale fi",
        "commercial email, as of 2026-03-02 14:00 Europe/Helsinki",
        "A message now would leave at once. See `regulars why c1 news`.",
        "provider  scripted",
        "from      Shop <news@shop.example>",
        "template  templates/news",
        "price     0.001 EUR",
        "subject   News for Ana",
        "header    List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "── text (templates/news/email.txt)",
        "Hello Ana, see what is new <https://shop.example/new>",
    ):
        assert line in out.splitlines()
    assert "--html FILE" in out and "(templates/news/email.html)" in out and "color: red" not in out
    assert "customers.example" not in out
    assert "to        c1@customers.example" in ask("news", "--customer", "c1", "--show-addresses")[1].splitlines()


def test_an_sms_in_two_languages(ask: Ask) -> None:
    """Each in its own words, parts and price, by its own number; another locale may be tried on anybody. Words are no markup."""
    finn, briton = (found(ask, "texts", "--customer", one)["messages"][0] for one in ("c1", "c2"))
    assert (finn["template"], finn["parts"], finn["encoding"], finn["price"]) == ("texts/fi", 2, "UCS-2", "0.1")
    assert (briton["template"], briton["parts"], briton["encoding"], briton["price"]) == ("texts", 1, "GSM-7", "0.08")
    assert (finn["provider"], finn["then"], finn["sender"]) == ("pigeon", ["raven"], "+358401234567")
    other = found(ask, "texts", "--customer", "c2", "--locale", "fi_FI")
    assert (other["locale"], other["messages"][0]["template"]) == ("fi-FI", "texts/fi")
    page = ask("texts", "--customer", "c2")[1].splitlines()
    assert "Hi Ben & Co, [bold]20%[/bold] off :smile:. Reply STOP" in page
    assert "parts     1 (GSM-7)" in page and "provider  pigeon (if it fails: raven)" in page


def test_a_receipt_takes_what_a_call_would_bring(shop: Shop, ask: Ask) -> None:
    """By the command line, by a file, and by both; each of its declared type."""
    given = ["--data", "order=A=1", "--data", "amount=29.90", "--data", "at=2026-03-02T09:00"]
    shown = found(ask, "receipt", "--customer", "c3", *given)["messages"][0]
    assert (shown["content"]["subject"], shown["content"]["headers"]) == ("Order A=1", {})
    assert shown["content"]["text"] == "Order A=1: €29.90, Mar 2, 2026."
    file = shop.folder / "call.json"
    file.write_text('{"order": 4711, "amount": 5, "at": "2026-03-02"}', encoding="utf-8")
    text = found(ask, "receipt", "--customer", "c3", "--data-file", str(file), "--data", "amount=6")["messages"][0]
    assert text["content"]["text"].startswith("Order 4711: €6.00")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "amount (number) is missing; at (time) is missing; order (text) is missing"),
        (("--data", "ordr=1"), 'ordr is not declared. Did you mean "order"?'),
        (
            ("--data", "order=1", "--data", "amount=x", "--data", "at=2026-03-02"),
            "data.amount: amount (number): a number",
        ),
    ],
)
def test_a_receipt_without_its_data_lists_it(ask: Ask, given: tuple[str, ...], told: str) -> None:
    """Misuse: what is missing, unknown or wrong, and all that a call brings, with its types."""
    status, out, err = ask("receipt", "--customer", "c3", *given)
    assert (status, out) == (2, "")
    assert told in err and "order (text), amount (number), at (time)" in err and "--data NAME=VALUE" in err


def test_a_post_is_shown_as_each_publishes_it(ask: Ask) -> None:
    """Its words, its variant, its image and what that shows; nobody in particular reads it."""
    told = found(ask, "post")
    assert (told["customer"], told["fate"]) == (None, "")
    assert [(one["provider"], one["variant"], one["content"]["text"]) for one in told["messages"]] == [
        ("wall", "short", "by wall"),
        ("board", "long", "A long story, by board"),
    ]
    page = ask("post")[1].splitlines()
    assert "image     https://shop.example/new.jpg" in page and "it shows  A record" in page
    assert page.count("from      Records") == 2 and "── text (templates/post/social.txt)" in page


def test_a_missing_value_is_told_in_the_words_of_a_plan(shop: Shop, ask: Ask) -> None:
    """File, line, what is missing, what to write instead; exit status 1, also as JSON, and no page is written."""
    problem = "templates/news/email.html:1: customer.first_name is missing"
    page = shop.folder / "page.html"
    status, out, _ = ask("news", "--customer", "c3", "--html", str(page))
    assert (status, page.exists()) == (1, False)
    assert problem in out and "default(" in out and "would not get it: see below" in out
    shown = found(ask, "news", "--customer", "c3", status=1)
    samples = plan(shop.workspace, shop.database, campaign="news", now=NOW).campaigns[0].samples
    assert shown["messages"][0]["problem"] in [one.problem for one in samples]
    assert (shown["sent"], shown["messages"][0]["content"]) == (False, None)


def test_what_cannot_be_launched_is_told(shop: Shop, ask: Ask) -> None:
    """Without its template, or its route: exit status 1, in the words of a plan and of `check`."""
    (shop.folder / "templates/texts").rename(shop.folder / "templates/txts")
    status, out, _ = ask("texts", "--customer", "c1")
    assert status == 1 and 'It cannot be launched: templates: there is no template "texts". Did you mean "txts"?' in out
    config = (shop.folder / "config.yaml").read_text(encoding="utf-8")
    (shop.folder / "config.yaml").write_text(
        re.sub(r"    commercial: {provider: scr.*\n", "", config), encoding="utf-8"
    )
    status, out, err = ask("news", "--customer", "c1")
    assert (status, out) == (1, "") and "rules/news.yaml:5:10: error: no provider carries commercial email" in err


def test_what_no_provider_takes_is_told(shop: Shop, ask: Ask) -> None:
    """The content is shown all the same: who edits it wants to see it."""
    config = (shop.folder / "config.yaml").read_text(encoding="utf-8")
    instagram = '{use: instagram, account_id: "1", access_token: "${env:I}"}'
    (shop.folder / "config.yaml").write_text(
        config.replace("{use: file, channel: social, folder: board}", instagram), encoding="utf-8"
    )
    (shop.folder / "templates/post/social.image.txt").unlink()
    status, out, _ = ask("post")
    assert status == 1
    assert "board will not take it: Instagram publishes no text without an image" in out and "by board" in out


def test_the_first_gate_that_withholds_is_named(shop: Shop, ask: Ask) -> None:
    """In one line; a pause is one of them, and so is not being in the audience."""
    with shop.database.writing() as connection:
        consent.suppress_contact_point(
            connection,
            shop.database,
            Channel.EMAIL,
            "c1@customers.example",
            SuppressionReason.BOUNCED,
            at=NOW,
            source="relay",
        )
    told = found(ask, "news", "--customer", "c1")
    assert told["sent"] is False and "would be withheld: the address must not be written to" in told["fate"]
    news = (shop.folder / "rules/news.yaml").read_text(encoding="utf-8")
    (shop.folder / "rules/news.yaml").write_text(
        news.replace("{id: {present: true}}", "{first_name: Zoe}"), encoding="utf-8"
    )
    told = found(ask, "news", "--customer", "c1")
    assert told["sent"] is False and "the rule does not hold" in told["fate"]
    brakes.pause(shop.database, "news", now=NOW, why="the wrong price")
    told = found(ask, "news", "--customer", "c1")
    assert told["sent"] is False and told["fate"].startswith("The campaign is paused")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("new", "--customer", "c1"), 'there is no campaign "new". Did you mean "news"?'),
        (("news", "--customer", "c11"), 'there is no customer "c11". Did you mean "c1"?'),
        (("news",), "Name one of its audience: --customer c1 or --customer c2."),
        (("receipt", "--data", "order=1"), "Name one with email: --customer c1 or --customer c2."),
        (("post", "--customer", "c1"), '--customer: the campaign "post" is a post to everybody'),
        (("post", "--locale", "fi"), '--locale: the campaign "post" is a post to everybody'),
        (("news", "--customer", "c1", "--data", "order=1"), "is started by its schedule, not by a call"),
        (("news", "--customer", "c1", "--locale", "Finnish!"), '--locale: a locale is written "fi"'),
        (("receipt", "--customer", "c1", "--data", "order"), '--data: "order" is no value with its name'),
        (("texts", "--customer", "c1", "--html", "x.html"), "--html: there is no HTML part"),
        (("receipt", "--customer", "c1", "--data-file", "{folder}/list.json"), "this is no JSON object"),
        (("receipt", "--customer", "c1", "--data-file", "{folder}/config.yaml"), "config.yaml:2:1: this is no JSON"),
    ],
)
def test_misuse_is_told_with_the_remedy(shop: Shop, ask: Ask, words: tuple[str, ...], told: str) -> None:
    """Exit status 2, and what to do."""
    (shop.folder / "list.json").write_text("[]", encoding="utf-8")
    status, _, err = ask(*(word.replace("{folder}", str(shop.folder)) for word in words))
    assert status == 2
    assert told in err.replace("\n", " ")


def test_the_words_of_a_page() -> None:
    """Lines where a browser breaks them; what is not seen is left out, entities are read, images say what they show."""
    page = "<title>T</title><p>a &amp;\n  b<br>c</p><ul><li>d</ul><img alt=E><img><script>f</script><a href='#x'>g</a><a>h</a><tr><td>i</td><td>j</td></tr>"
    assert words_of(page) == "a & b\nc\n\nd\n[E][image]g <#x>h\ni j"

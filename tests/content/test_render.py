"""The same version and values give the same bytes; what is missing is named with its place; languages are chosen well."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.content.render import Renderer, content_hash
from engine.content.sms import segments
from engine.errors import ContentError
from engine.model import Channel
from engine.provider import ApprovedTemplate, EmailContent, TextContent
from tests.content.samples import VALUES, html, of, text, version

LINES = "{% for item in data.items %}{{ item.name }}={{ item.price | money }};{% endfor %}"
EMAIL = version(email_subject_txt="Hello {{ customer.first_name }}", email_txt=LINES, email_html="<p>" + LINES)


# ---------------------------------------------------------------- the same each time


def test_the_same_values_give_the_same_bytes() -> None:
    """Rendered twice, by two renderers, with the values in another order: one hash. Other values: another."""
    shuffled = {name: VALUES[name] for name in reversed(VALUES)}
    first, second = Renderer(EMAIL).render(Channel.EMAIL, VALUES), Renderer(EMAIL).render(Channel.EMAIL, shuffled)
    assert first == second
    assert first.hash == second.hash
    other = {**VALUES, "customer": {"first_name": "Bo"}}
    assert Renderer(EMAIL).render(Channel.EMAIL, other).hash != first.hash


def test_another_process_gives_the_same_bytes() -> None:
    """Python's hash seed, and with it the order of sets, does not reach the text."""
    program = (
        "from tests.content.test_render import EMAIL, VALUES, Renderer, Channel;"
        "print(Renderer(EMAIL).render(Channel.EMAIL, VALUES).hash)"
    )
    root = Path(__file__).parents[2]
    here = Renderer(EMAIL).render(Channel.EMAIL, VALUES).hash
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=root, env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True
        )
        assert run.stdout.decode().strip() == here, run.stderr.decode()


def test_the_hash_covers_every_field() -> None:
    """A change in subject, text, HTML or headers shows; the value itself is BLAKE2b over them."""
    mail = EmailContent(subject="s", text="t", html="h", headers={"a": "b"})
    others = [
        EmailContent(subject="S", text="t", html="h", headers={"a": "b"}),
        EmailContent(subject="s", text="T", html="h", headers={"a": "b"}),
        EmailContent(subject="s", text="t", html=None, headers={"a": "b"}),
        EmailContent(subject="s", text="t", html="h", headers={"a": "c"}),
        TextContent(text="t"),
    ]
    assert content_hash(mail) == hashlib.blake2b(b"5:email1:s1:t1:h1:a1:b", digest_size=32).hexdigest()
    assert len({content_hash(content) for content in (mail, *others)}) == 6


def test_threads_share_a_renderer_without_mixing_their_languages() -> None:
    """Each thread's amounts are in its own customer's language and currency."""
    renderer = Renderer(version(social_txt="{% for i in range(50) %}{{ 1234.5 | money }}|{% endfor %}"))
    wanted = {("en", "USD"): "$1,234.50", ("de", "EUR"): "1.234,50\u00a0€", ("fi", "EUR"): "1\u00a0234,50\u00a0€"}

    def render(key: tuple[str, str]) -> bool:
        values = {**VALUES, "locale": key[0], "currency": key[1]}
        content = renderer.render(Channel.SOCIAL, values).content
        assert isinstance(content, TextContent)
        return content.text == "|".join([wanted[key]] * 50) + "|"

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(render, list(wanted) * 40))


def test_the_limit_of_work_is_each_messages_own() -> None:
    """A thousand messages through one renderer are not one message's work."""
    renderer = Renderer(version(social_txt="{% for i in range(999) %}{{ i }} {% endfor %}"))
    assert len({renderer.render(Channel.SOCIAL, VALUES).hash for _ in range(100)}) == 1


# ---------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    ("template", "line", "name"),
    [
        ("\n\nHello {{ customer.nickname }}", 3, "customer.nickname"),
        ("\nHello {{ customer['nickname'] }}", 2, "customer.nickname"),
        ("{{ nickname }}", 1, "nickname"),
        ("{{ customer.company }}", 1, "customer.company"),
        ("{{ data.order.note }}", 1, "data.order"),
        ("{{ data.name }}{{ customer.first_name }}", 1, "data.name"),
        ("{% for item in data.items %}\n{{ item.colour }}\n{% endfor %}", 2, "item.colour"),
        ("{% for item in data.lines %}\n{{ item }}\n{% endfor %}", 1, "data.lines"),
        ("{{ customer.nickname | upper }}", 1, "customer.nickname"),
        ("{{ 'Hello ' ~ customer.nickname }}", 1, "customer.nickname"),
        ("{{ 'Hello ' + customer.nickname }}", 1, "customer.nickname"),
        ("{{ 2 * customer.points }}", 1, "customer.points"),
        ("{{ customer.points | money }}", 1, "customer.points"),
        ("{{ customer.birthday | date }}", 1, "customer.birthday"),
        ("{{ [customer.nickname] | join }}", 1, "customer.nickname"),
        ("{{ customer.points > 3 }}", 1, "customer.points"),
        ("{{ 'x' in customer.tags }}", 1, "customer.tags"),
        ("{% if customer.points + 1 %}x{% endif %}", 1, "customer.points"),
        ("{{ nickname() }}", 1, "nickname"),
        ("{% set x = {'a': 1} %}{{ x[customer.first_name ~ ''] }}", 1, "a value used here"),
    ],
)
def test_a_missing_value_is_named_with_its_place(template: str, line: int, name: str) -> None:
    """The marketer learns which value, in which file and line; a value of None is a missing one."""
    with pytest.raises(ContentError) as missing:
        text(template)
    assert missing.value.where == f"templates/t/social.txt:{line}"
    assert missing.value.what == f"{name} is missing"


def test_a_missing_value_in_a_layout_is_placed_there() -> None:
    """The innermost file is the one to mend."""
    with pytest.raises(ContentError, match=r"^templates/_shop/base\.html:2: nowhere is missing"):
        html('{% extends "_shop/base.html" %}', ("_shop/base.html", "<p>\n{{ nowhere }}"))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Hello {{ customer.nickname | default('friend') }}", "Hello friend"),
        ("Hello {{ customer.company | default('friend') }}", "Hello friend"),
        ("Hello {{ customer.first_name | d('friend') }}", "Hello Ana"),
        ("{{ '' | default('x') }}{{ '' | default('y', true) }}", "y"),
        ("{{ nowhere | default('x') }}", "x"),
        ("{{ customer.nickname or 'friend' }}", "friend"),
        ("{{ 'yes' if customer.nickname else 'no' }} {{ 'x' if customer.nickname }}", "no"),
        ("{% if customer.company %}a{% elif not customer.nickname %}b{% endif %}", "b"),
        ("{% if customer.country == 'FI' %}a{% else %}b{% endif %}{{ 'c' if customer.country != 'FI' }}", "bc"),
        ("{% if customer.country in ['FI', 'SE'] %}a{% else %}b{% endif %}", "b"),
        ("{{ 'a' if customer.company is defined else 'b' }}{{ 'c' if customer.company is none }}", "bc"),
    ],
)
def test_a_missing_value_can_be_asked_about(template: str, expected: str) -> None:
    """A fallback, an `if`, a comparison: the ways to write for customers of whom less is known."""
    assert text(template) == expected


def test_errors_do_not_repeat_a_customers_data() -> None:
    """Logs and reports carry the place and the kind of an error, never the address that caused it."""
    canary = "ana@canary.example"
    templates = (
        "{{ customer.email | money }}",
        "{{ customer.email | date }}",
        "{{ customer.email | round }}",
        "{{ customer.email - 1 }}",
        "{{ customer.email() }}",
        "{{ customer[customer.email] }}",
        "{{ data[customer.email].x }}",
        "{{ customer.email | format(1) ~ '%d' | format(customer.email) }}",
        "{% for a, b in [customer.email] %}{% endfor %}",
        "{{ 'x' | center(customer.email) }}",
        "{{ 1 | money(customer.email ~ customer.email) ~ customer.email.x }}",
    )
    for template in templates:
        with pytest.raises(ContentError) as refused:
            text(template, customer={"email": canary})
        assert "canary" not in str(refused.value), template


@pytest.mark.parametrize(
    ("template", "line", "what"),
    [
        ("\n{{ x", 2, "unexpected end"),
        ("\n\n{% if x %}", 3, "Unexpected end of template"),
        ("{{ 1 | moneyy }}", 1, 'there is no filter "moneyy"'),
        ("\n{% include '_shop/none.txt' %}", 2, 'there is no file "_shop/none.txt"'),
        ("{{ 1 / 0 }}", 1, "divides by zero"),
        ("\n{% include 't/social.txt' %}", 2, "without end"),
        ("{{ data.items | upper }}", 1, "a list cannot be written out"),
        ("{{ customer }}", 1, "a mapping cannot be written out"),
    ],
)
def test_every_failure_is_a_content_error_with_its_place(template: str, line: int, what: str) -> None:
    """One message is withheld with a reason; no other kind of error leaves the renderer."""
    with pytest.raises(ContentError) as failed:
        text(template)
    assert failed.value.where == f"templates/t/social.txt:{line}"
    assert what in failed.value.what


# ---------------------------------------------------------------- the parts


def test_an_email_has_one_line_of_subject_and_both_bodies() -> None:
    """Line breaks and control characters from a template or a value never reach the header."""
    made = version(
        email_subject_txt="\n  {% if true %}\n  Hello\n{% endif %}\n{{ customer.first_name }}\n",
        email_txt="t",
        email_html="h",
    )
    name = "A\r\nBcc: x@y.example\x00\x0b\u2028B\u0085"
    content = Renderer(made).render(Channel.EMAIL, {**VALUES, "customer": {"first_name": name}}).content
    assert content == EmailContent(subject="Hello A Bcc: x@y.example B", text="t", html="h")


def test_an_email_without_html_is_text_alone() -> None:
    """The HTML part is the marketer's choice."""
    content = Renderer(version(email_subject_txt="s", email_txt="t")).render(Channel.EMAIL, VALUES).content
    assert content == EmailContent(subject="s", text="t", html=None)


@pytest.mark.parametrize("channel", list(Channel))
def test_a_part_that_is_not_there_is_named(channel: Channel) -> None:
    """The message is withheld with the file's name."""
    with pytest.raises(ContentError, match=r"^templates/t/(email\.subject|[a-z]+)\.txt: this part is missing"):
        Renderer(of({})).render(channel, VALUES)


@pytest.mark.parametrize(
    "parts",
    [
        {"email_subject_txt": " ", "email_txt": "t"},
        {"email_subject_txt": "s", "email_txt": "{% if false %}x{% endif %}\n"},
        {"email_subject_txt": "s", "email_txt": "t", "email_html": "\n"},
    ],
)
def test_an_empty_part_is_not_sent(parts: dict[str, str]) -> None:
    """A template whose every `if` fails says nothing; saying nothing is not sent."""
    with pytest.raises(ContentError, match=r"^templates/t/email\.[a-z.]+: this part came out empty"):
        Renderer(version(**parts)).render(Channel.EMAIL, VALUES)


def test_an_sms_is_tidied_to_its_cheapest_form() -> None:
    """Word processors' quotes and the no-break spaces of amounts would turn it into UCS-2."""
    made = version(sms_txt="\nIt’s {{ 1234.5 | money }} – today…\n\n")
    values = {**VALUES, "locale": "fi"}
    content = Renderer(made).render(Channel.SMS, values).content
    assert content == TextContent(text="It's 1 234,50 € - today...")
    assert segments("It's 1 234,50 € - today...").encoding == "GSM-7"


def test_an_approved_template_goes_with_its_text() -> None:
    """WhatsApp's approved text is named in a file of its own, its blanks filled from the customer; the hash covers it."""
    approved = "HX12\n\n1: {{ customer.first_name }}\n 2 : 14:30, {{ 5 | money }}\n"
    made = Renderer(of({"t/whatsapp.txt": "Hello {{ customer.first_name }}\n", "t/whatsapp.template.txt": approved}))
    content = made.render(Channel.WHATSAPP, VALUES).content
    assert isinstance(content, TextContent) and content.text == "Hello Ana"
    assert content.template == ApprovedTemplate(name="HX12", variables={"1": "Ana", "2": "14:30, €5.00"})
    plain = (
        Renderer(of({"t/whatsapp.txt": "Hello {{ customer.first_name }}\n"})).render(Channel.WHATSAPP, VALUES).content
    )
    assert plain == TextContent(text="Hello Ana")
    others = [
        content,
        plain,
        TextContent(text="Hello Ana", template=ApprovedTemplate(name="HX12")),
        TextContent(text="Hello Ana", template=ApprovedTemplate(name="HX12", variables={"1": "Ana", "2": "b"})),
        TextContent(text="Hello Ana", template=ApprovedTemplate(name="HX13", variables=content.template.variables)),
    ]
    assert len({content_hash(other) for other in others}) == len(others)


@pytest.mark.parametrize("wrong", ["Hello {{ customer.first_name }}", "HX12\nAna", "HX12\n1:", "HX12\n: Ana"])
def test_what_names_no_approved_template_is_not_sent(wrong: str) -> None:
    """A file that is not a name and its blanks is told with its place, before a vendor refuses it."""
    made = Renderer(of({"t/fi/whatsapp.template.txt": wrong, "t/whatsapp.txt": "x"}))
    with pytest.raises(ContentError, match=r"^templates/t/fi/whatsapp\.template\.txt: this names no approved template"):
        made.render(Channel.WHATSAPP, {**VALUES, "customer": {"first_name": "Ana", "locale": "fi"}})


def test_an_image_goes_with_what_it_shows() -> None:
    """Its address stands in the first line, what it shows below; the hash covers both, and is without words what it was."""
    written = "https://shop.example/{{ 5 }}.jpg \n\nA record,\n  by {{ customer.first_name }}\n"
    made = Renderer(of({"t/social.txt": "New\n", "t/social.image.txt": written}))
    content = made.render(Channel.SOCIAL, VALUES).content
    assert content == TextContent(text="New", image="https://shop.example/5.jpg", image_alt="A record, by Ana")
    bare = TextContent(text="New", image="https://shop.example/5.jpg")
    others = [content, bare, TextContent(text="New"), TextContent(text="New", image="https://shop.example/6.jpg")]
    assert len({content_hash(other) for other in others}) == len(others)
    assert content_hash(bare) == "fbc1b8c0bdf3554024294a5c6f070629e55f842b3ec531278ed6f9d221aacd9b"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("A record\nhttps://shop.example/5.jpg", "no image's address"),
        ("http://shop.example/5.jpg", "no image's address"),
        ("https://shop.example/5.jpg a record", "no image's address"),
        ("https://shop.example/5.jpg\n" + "x" * 1001, "in more than 1,000 characters"),
    ],
)
def test_what_is_no_image_is_not_sent(wrong: str, why: str) -> None:
    """Told with its place, before anything is fetched."""
    made = Renderer(of({"t/social.txt": "New", "t/social.image.txt": wrong}))
    with pytest.raises(ContentError, match=rf"^templates/t/social\.image\.txt: .*{why}"):
        made.render(Channel.SOCIAL, VALUES)


def test_too_long_a_text_is_not_sent() -> None:
    """A quarter of a megabyte is a mistake, not a message."""
    with pytest.raises(ContentError, match="longer than"):
        text("x" * 250_001)


@given(st.text(max_size=40))
@settings(max_examples=200)
def test_whatever_a_value_holds_the_text_is_valid(value: str) -> None:
    """No control character but tab and line feed, no lone carriage return, and always encodable."""
    shown = text(".{{ customer.x }}.", customer={"x": value})
    assert not set(shown) & {chr(n) for n in {*range(32), 127} - {9, 10}}
    shown.encode()


def test_a_value_that_is_no_unicode_is_refused() -> None:
    """Half of a surrogate pair, which JSON can hold, cannot be sent."""
    with pytest.raises(ContentError, match="not valid Unicode"):
        text("{{ customer.x }}", customer={"x": "\ud800"})


# ---------------------------------------------------------------- languages


FILES = {
    "t/social.txt": "top {{ 0.5 | number }}",
    "t/fi/social.txt": "fi {{ 0.5 | number }}",
    "t/pt/social.txt": "pt {{ 0.5 | number }}",
    "t/pt_BR/social.txt": "pt-BR {{ 0.5 | number }}",
    "t/de/social.txt": "de {{ 1234.5 | number }}",
    "t/zh-Hant/social.txt": "zh {{ 0.5 | number }}",
}


@pytest.mark.parametrize(
    ("locale", "shown", "path"),
    [
        (None, "top 0.5", "t"),
        ("", "top 0.5", "t"),
        ("fi", "fi 0,5", "t/fi"),
        ("fi-FI", "fi 0,5", "t/fi"),
        ("FI_fi", "fi 0,5", "t/fi"),
        ("pt-BR", "pt-BR 0,5", "t/pt_BR"),
        ("pt_br", "pt-BR 0,5", "t/pt_BR"),
        ("pt-PT", "pt 0,5", "t/pt"),
        ("zh-Hant-TW", "zh 0.5", "t/zh-Hant"),
        ("sv", "top 0.5", "t"),
        ("de-CH", "de 1’234.5", "t/de"),
        ("de-XX", "de 1.234,5", "t/de"),
        ("../fi", "top 0.5", "t"),
        ("nonsense-locale-with-a-long-name", "top 0.5", "t"),
    ],
)
def test_the_nearest_language_is_chosen_and_writes_the_numbers(locale: str | None, shown: str, path: str) -> None:
    """Exact locale, then language, then the top folder; a Swede who gets the English text gets English numbers in it."""
    rendered = Renderer(of(FILES)).render(Channel.SOCIAL, {**VALUES, "customer": {"locale": locale}})
    assert rendered.content == TextContent(text=shown)
    assert rendered.path == path


def test_a_part_that_a_language_lacks_comes_from_the_top() -> None:
    """A forgotten translation of the subject is better than no message; `problems` warns of it."""
    made = version(email_subject_txt="top", email_txt="top", fi__email_txt="fi")
    rendered = Renderer(made).render(Channel.EMAIL, {**VALUES, "customer": {"locale": "fi"}})
    assert rendered.content == EmailContent(subject="top", text="fi")
    assert rendered.path == "t/fi"


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("{{ data.amount | money }}", {}, "€1,234.50"),
        ("{{ data.amount | money('USD') }}", {"locale": "de"}, "1.234,50\u00a0$"),
        ("{{ '12.50' | money }}", {"currency": "JPY"}, "¥12"),
        ("{{ 0.1 + 0.2 | money }}", {}, None),
        ("{{ data.amount | number }} {{ 3 | number(2) }} {{ 2.345 | number(1) }}", {}, "1,234.5 3.00 2.3"),
        ("{{ 1234567 | number(1) }}", {"locale": "hi"}, "12,34,567.0"),
        ("{{ today | date }} / {{ today | date('long') }}", {}, "Mar 2, 2026 / March 2, 2026"),
        ("{{ today | date('full') }}", {"locale": "fi"}, "maanantai 2. maaliskuuta 2026"),
        ("{{ today | date('d. MMMM') }}", {"locale": "sl"}, "2. marec"),
        ("{{ data.at | date }} {{ data.at | time }}", {"locale": "de"}, "02.03.2026 23:30"),
        ("{{ data.at | date }}", {"time_zone": "Europe/Helsinki"}, "Mar 3, 2026"),
        ("{{ '2026-03-02T08:05' | time }}", {"locale": "de"}, "08:05"),
        ("{{ today | time }}", {}, None),
        ("{{ today | date('EEEE' ~ 'EEEE' | center(60)) }}", {}, None),
        ("{{ 'soon' | date }}", {}, None),
        ("{{ true | money }}", {}, None),
        ("{{ 'NaN' | number }}", {}, None),
        ("{{ data.items | money }}", {}, None),
    ],
)
def test_amounts_and_dates_are_written_as_the_language_writes_them(
    template: str, values: dict[str, Any], expected: str | None
) -> None:
    """By CLDR; times with an offset in the customer's zone; what is no amount or date is refused (None)."""
    if expected is None:
        with pytest.raises(ContentError):
            text(template, **values)
    else:
        assert text(template, **values) == expected


def test_today_is_plain_text() -> None:
    """So that it can be stored, compared and given to the filter date."""
    assert text("{{ today }}") == date(2026, 3, 2).isoformat()

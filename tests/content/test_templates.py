"""Reading templates, and telling what is wrong in them before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.content.render import Renderer
from engine.content.templates import TemplateVersion, known_names, problems, read_template
from engine.errors import Problem, Severity, UnknownName, WorkspaceError
from engine.model import AttributeType, Channel, MessageClass
from engine.provider import EmailContent, Secret
from engine.settings import Settings
from tests.content.samples import VALUES, of, version

SETTINGS = Settings(
    workspace="shop",
    time_zone=ZoneInfo("UTC"),
    secret=Secret("S"),
    attributes={"first_name": AttributeType.TEXT, "points": AttributeType.NUMBER},
)
KNOWN = known_names(SETTINGS, ["order", "amount"])


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".").replace("/.", "/_").replace("SHOP", "_shop")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    return write(
        tmp_path / "templates",
        SHOP__base_html="<body>{% block main %}{% endblock %}</body>",
        hello__email_subject_txt="Hello {{ customer.first_name }}",
        hello__email_html='{% extends "_shop/base.html" %}{% block main %}Hi{% endblock %}',
        hello__email_txt="Hi",
        hello__fi__email_txt="Hei",
        bye__email_txt="Bye",
    )


# ---------------------------------------------------------------- reading


def test_a_version_holds_its_own_folder_and_the_shared_ones(templates: Path) -> None:
    """All that rendering needs, and nothing of other templates; images and the like stay out."""
    (templates / "hello" / "logo.png").write_bytes(b"\x89PNG")
    found = read_template(templates, "hello")
    assert found.name == "hello"
    assert set(found.sources) == {
        "_shop/base.html",
        "hello/email.subject.txt",
        "hello/email.html",
        "hello/email.txt",
        "hello/fi/email.txt",
    }
    content = Renderer(found).render(Channel.EMAIL, VALUES).content
    assert content == EmailContent(subject="Hello Ana", text="Hi", html="<body>Hi</body>")


def test_the_hash_follows_the_text_and_nothing_else(templates: Path) -> None:
    """Another change of a file's time, its line ends or its byte-order mark is the same version; a changed layout is not."""
    first = read_template(templates, "hello")
    (templates / "hello" / "email.txt").write_bytes("\ufeffHi".encode())
    os.utime(templates / "hello" / "email.html", (1, 1))
    assert read_template(templates, "hello") == first
    assert read_template(templates, "bye").hash != first.hash
    (templates / "_shop" / "base.html").write_text("{% block main %}{% endblock %}")
    assert read_template(templates, "hello").hash != first.hash


def test_line_ends_become_line_feeds(templates: Path) -> None:
    """A checkout on Windows is the same version, and its SMS cost the same."""
    (templates / "bye" / "email.txt").write_bytes(b"Bye\r\n\r\nnow")
    assert read_template(templates, "bye").sources["bye/email.txt"] == "Bye\n\nnow"


@pytest.mark.parametrize(
    "name", ["helo", "", "..", "../templates/hello", "_shop", "hello/fi", "hello/email.txt", ".git"]
)
def test_a_name_that_is_no_template_is_refused(templates: Path, name: str) -> None:
    """With the nearest name, and never with a file from elsewhere."""
    (templates / ".git").mkdir()
    with pytest.raises(UnknownName, match=r'there is no template .*(Did you mean "hello"|Known: bye, hello)'):
        read_template(templates, name)


def test_a_workspace_without_templates_says_so(tmp_path: Path) -> None:
    """No folder is no template."""
    with pytest.raises(UnknownName):
        read_template(tmp_path / "templates", "hello")


def test_every_unreadable_file_is_told_at_once(templates: Path, tmp_path: Path) -> None:
    """Not UTF-8, far too large, and leading out of the folder."""
    (templates / "hello" / "email.txt").write_bytes(b"\xff\xfe")
    (templates / "hello" / "email.html").write_text("x" * 250_001)
    (tmp_path / "secret.txt").write_text("secret")
    (templates / "_shop" / "leak.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(WorkspaceError) as refused:
        read_template(templates, "hello")
    assert [str(problem) for problem in refused.value.problems] == [
        "templates/_shop/leak.txt:1:1: error: leads out of templates/.",
        "templates/hello/email.html:1:1: error: is larger than 250,000 bytes.",
        "templates/hello/email.txt:1:1: error: is not UTF-8 text.",
    ]


# ---------------------------------------------------------------- what is wrong

FOOT = " {{ links.unsubscribe }} {{ postal_address }}"


def check(
    made: TemplateVersion,
    channel: Channel = Channel.SOCIAL,
    message_class: MessageClass = MessageClass.TRANSACTIONAL,
    known: dict[str, Collection[str] | None] = KNOWN,
) -> list[str]:
    return [_told(problem) for problem in problems(made, channel=channel, message_class=message_class, known=known)]


def _told(problem: Problem) -> str:
    mark = "warning: " if problem.severity is Severity.WARNING else ""
    return f"{problem.at} {mark}{problem.what} {problem.remedy}".rstrip()


def test_a_good_commercial_email_has_no_problems() -> None:
    """Parts, links, address, values, filters, a layout and a translation, all well."""
    made = of(
        {
            "_shop/base.html": "<body>{% block main %}{% endblock %}{% include '_shop/foot.html' %}</body>",
            "_shop/foot.html": '<a href="{{ links.unsubscribe }}">{{ postal_address }}</a> {{ title }}',
            "t/email.subject.txt": "Hello {{ customer.first_name | default('friend') }}, it is {{ today | date('long') }}",
            "t/email.html": '{% extends "_shop/base.html" %}{% set title = campaign %}{% block main %}'
            "{% for n in range(3) %}{{ loop.index }}{{ data.amount | money(currency) }}{% endfor %}{% endblock %}",
            "t/email.txt": "{% set x = customer.get('points', 0) %}{{ x }} {{ customer.id }}" + FOOT,
            "t/fi/email.subject.txt": "Hei",
            "t/fi/email.html": "Hei" + FOOT,
            "t/fi/email.txt": "Hei" + FOOT,
        }
    )
    assert check(made, Channel.EMAIL, MessageClass.COMMERCIAL) == []


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("\n  {{ custmer.x }}", ':2:6 there is no value "custmer". Did you mean "customer"?'),
        ("Hi {{ customer.frist_name }}", ':1:16 "customer" has no "frist_name". Did you mean "first_name"?'),
        ("{{ customer['frist_name'] }}", ':1:14 "customer" has no "frist_name". Did you mean "first_name"?'),
        ("{{ customer.nick | default('x') }}", ':1:13 "customer" has no "nick". Known: created_at, first_name, id, locale, points, time_zone.'),
        ("{{ data.ordr }}", ':1:9 "data" has no "ordr". Did you mean "order"?'),
        ("Your data, a customer's: {{ data[ 'ordr' ] }}", ':1:36 "data" has no "ordr". Did you mean "order"?'),
        ("{% if x %}{% endif %}", ':1:7 there is no value "x". Known:'),
        ("a\nb {{ 1 | mony }}", ':2:10 there is no filter "mony". Did you mean "money"?'),
        ("{{ 1 is evn }}", ':1:9 there is no test "evn". Did you mean "even"?'),
        ("{{ customer.first_name | safe }}", ':1:26 there is no filter "safe". Values are always escaped; HTML stands in the template itself.'),
        ("{{ [1] | random }}", ':1:10 there is no filter "random". A message must be the same each time it is rendered.'),
        ("\n{{ ''.__class__ }}", ':2:7 "__class__" is not for templates. Names there do not begin with _.'),
        ("{{ x", ":1:1 this {{ is not closed. Put }}"),
        ("\n {% iff %}", ":2:5 there is no tag {% iff %}."),
        ("\n{% include 'footer.txt' %}", ':2:13 there is no file "footer.txt". Shared files live in a folder whose name begins with _'),
        ("{% include '_shop/fot.txt' %}", ':1:13 there is no file "_shop/fot.txt". Did you mean "_shop/foot.txt"?'),
        ("{% include data.order %}", ":1:1 a file's name must be written out here."),
        ("{{ 'a' * 3 }}", ":1:8 text cannot be multiplied. Write it out."),
        ("{% autoescape false %}{% endautoescape %}", ":1:4 escaping cannot be switched."),
        ("{% for a in [] %}\n{% for b in [] %}\n{% for c in [] %}\n{% for d in [] %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}", ":4:4 loops are nested more than 3 deep."),
        ("{% block a %}{% endblock %}{% block a %}{% endblock %}", ":1:1 block 'a' defined twice."),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", ":1:1 is nested too deeply."),
        ("{{ lipsum() }}", ':1:4 there is no value "lipsum".'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_remedy(template: str, told: str) -> None:
    """File, line and column as an editor counts them; what is wrong; the nearest right word."""
    found = check(of({"t/social.txt": template, "_shop/foot.txt": "x"}))
    assert len(found) == 1, found
    assert found[0].startswith("templates/t/social.txt" + told)


def test_every_mistake_of_every_file_is_told_at_once() -> None:
    """In layouts, in each language, and each one once although two parts share the layout."""
    made = of(
        {
            "_shop/base.txt": "{% block a %}{% endblock %}\n{{ nope }}",
            "t/email.subject.txt": "{{ customer.a }}{{ customer.b }}",
            "t/email.txt": '{% extends "_shop/base.txt" %}',
            "t/fi/email.txt": '{% extends "_shop/base.txt" %}{% block a %}{{ data.c }}{% endblock %}',
            "t/fi/email.subject.txt": "x",
        }
    )
    found = check(made, Channel.EMAIL)
    assert [line.split(" ")[0] for line in found] == [
        "templates/_shop/base.txt:2:4",
        "templates/t/email.subject.txt:1:13",
        "templates/t/email.subject.txt:1:29",
        "templates/t/fi/email.txt:1:52",
    ]


@pytest.mark.parametrize(
    ("channel", "missing"),
    [
        (Channel.EMAIL, ["email.subject.txt", "email.txt"]),
        (Channel.SMS, ["sms.txt"]),
        (Channel.SOCIAL, ["social.txt"]),
    ],
)
def test_a_missing_part_is_told(channel: Channel, missing: list[str]) -> None:
    """Each part a channel needs; HTML is a choice."""
    found = check(of({}), channel)
    assert found == [f"templates/t/{part}:1:1 is missing. Every {channel} message needs this part." for part in missing]


def test_a_part_that_a_language_lacks_is_a_warning() -> None:
    """A Finnish mail with an English subject is sent, and the marketer is told."""
    made = version(email_subject_txt="Hello", email_txt="Hello", fi__email_txt="Hei")
    assert check(made, Channel.EMAIL) == [
        "templates/t/fi/email.subject.txt:1:1 warning: is missing: customers with this locale get t/email.subject.txt "
        "instead, perhaps in another language. Translate it too."
    ]


def test_languages_alone_leave_the_others_without_a_message() -> None:
    """A customer with another locale, or with none, gets the top folder's: it must be there."""
    found = check(version(fi__sms_txt="Hei"), Channel.SMS)
    assert found == ["templates/t/sms.txt:1:1 is missing. Every sms message needs this part."]


@pytest.mark.parametrize("part", ["email_html", "email_txt"])
def test_a_commercial_email_needs_its_way_out_in_both_parts(part: str) -> None:
    """The link missing in either part is an error; a transactional email needs none."""
    made = version(
        **{"email_subject_txt": "s", "email_html": "h" + FOOT, "email_txt": "t" + FOOT, part: "x {{ postal_address }}"}
    )
    found = check(made, Channel.EMAIL, MessageClass.COMMERCIAL)
    assert [line.split(" ", 1)[1] for line in found] == [
        "a commercial email needs its unsubscribe link in both parts. Write {{ links.unsubscribe }} where the reader looks for it."
    ]
    assert check(made, Channel.EMAIL) == []


LAYOUT = {
    "_shop/base.html": "{% block main %}{% endblock %}{% block foot %}{% include '_shop/foot.html' %}{% endblock %}",
    "_shop/foot.html": "{{ links.unsubscribe }}{{ postal_address }}",
    "_shop/base.fi.html": '{% extends "_shop/base.html" %}{% block foot %}Hei {{ super() }}{% endblock %}',
    "_shop/bare.html": '{% extends "_shop/base.html" %}{% block foot %}Hi{% endblock %}',
    "t/email.subject.txt": "s",
    "t/email.txt": "t" + FOOT,
}


@pytest.mark.parametrize(
    ("page", "errors"),
    [
        ('{% extends "_shop/base.html" %}{% block main %}x{% endblock %}', 0),
        ('{% extends "_shop/base.fi.html" %}{% block main %}x{% endblock %}', 0),
        ('{% extends "_shop/base.html" %}{% block foot %}x{{ super() }}{% endblock %}', 0),
        ('{% extends "_shop/base.html" %}{% block foot %}x{% endblock %}', 1),
        ('{% extends "_shop/base.fi.html" %}{% block foot %}{% endblock %}', 1),
        ('{% extends "_shop/bare.html" %}{% block main %}x{% endblock %}', 1),
        ('{% extends "_shop/bare.html" %}{% block main %}{{ links.unsubscribe }}{% endblock %}', 0),
    ],
)
def test_a_footer_that_a_template_replaces_is_not_counted(page: str, errors: int) -> None:
    """A layout's unsubscribe link helps nobody when the template that is sent puts something else in its block."""
    made = of({**LAYOUT, "t/email.html": page})
    found = problems(made, channel=Channel.EMAIL, message_class=MessageClass.COMMERCIAL, known=KNOWN)
    assert len([problem for problem in found if problem.severity is Severity.ERROR]) == errors


def test_what_the_law_wants_is_warned_of() -> None:
    """No postal address, a subject that plays a reply, an SMS without a way out."""
    mail = version(email_subject_txt="Re: your order", email_txt="{{ links.unsubscribe }}")
    found = check(mail, Channel.EMAIL, MessageClass.COMMERCIAL)
    assert [line.split(": ")[1].split(".")[0] for line in found] == [
        "the subject pretends to be a reply",
        "a commercial email must show your postal address",
    ]
    assert all(" warning: " in line for line in found)
    assert len(check(version(sms_txt="Tea!"), Channel.SMS, MessageClass.COMMERCIAL)) == 1
    for way_out in ("Tea! Reply STOP", "Thé ! ARRÊT au 36111", "Tea! {{ links.unsubscribe }}"):
        assert check(version(sms_txt=way_out), Channel.SMS, MessageClass.COMMERCIAL) == []


def test_a_file_that_is_no_part_is_warned_of() -> None:
    """A mistyped name would otherwise never be sent, in silence; a file that another one includes is used."""
    made = of(
        {
            "t/social.txt": '{% include "t/rows.txt" %}',
            "t/rows.txt": "rows",
            "t/_notes.txt": "for us",
            "t/emial.html": "x",
            "t/qq/social.txt": "x",
        }
    )
    assert check(made) == [
        'templates/t/emial.html:1:1 warning: is not a part of any message. Did you mean "email.html"?',
        'templates/t/qq/social.txt:1:1 warning: is never used: "qq" is no locale. Name the folder like fi or pt-BR.',
    ]


def test_a_campaign_without_a_trigger_has_no_data_and_a_post_no_customer() -> None:
    """What is never there is told as such, not as a misspelling."""
    public = known_names(SETTINGS, customer=False)
    assert check(version(social_txt="{{ data.order }}"), known=public) == [
        'templates/t/social.txt:1:9 "data" has no "order". This campaign gives "data" no values.'
    ]
    assert check(version(social_txt="{{ customer.id }}{{ links.unsubscribe }}"), known=public) == [
        'templates/t/social.txt:1:13 "customer" has no "id". This campaign gives "customer" no values.',
        'templates/t/social.txt:1:27 "links" has no "unsubscribe". This campaign gives "links" no values.',
    ]


def test_names_a_template_makes_itself_are_known() -> None:
    """Loops, set, macros and their arguments, imports, blocks; and mappings whose content nobody declared."""
    made = of(
        {
            "_shop/m.txt": "{% macro row(item, label='x') %}{{ item.name }}{{ label }}{{ caller() }}{% endmacro %}{% set a = 1 %}",
            "t/social.txt": "{% import '_shop/m.txt' as m %}{% from '_shop/m.txt' import row as line, a %}"
            "{% for key, item in data.order.items() %}{{ key }}{{ loop.index }}"
            "{% call(x) m.row(item) %}{{ x }}{% endcall %}{{ line(item) }}{% endfor %}"
            "{% set data2 = data %}{{ data2.anything }}{{ a }}{% set q %}x{% endset %}{{ q }}{% with w = 1 %}{{ w }}{% endwith %}"
            "{% block b %}{{ self.b }}{% endblock %}{{ free.anything.at.all }}",
        }
    )
    assert check(made, known={**KNOWN, "free": None}) == []

"""Email as bytes: what comes in as data goes out as data, whatever it is."""

from __future__ import annotations

import email
import email.policy
import time
from dataclasses import replace
from email.message import EmailMessage

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels import mime
from engine.errors import ContentError
from tests.channels.messages import EMAIL, letter

EXPECTED = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "X-Regulars-Message",
    "MIME-Version",
    "Content-Type",
}
anything = st.text(st.characters(), max_size=200)
payload = "=?utf-8?q?Hi=0D=0ABcc:_thief@evil.example=0D=0A=0D=0Abody?="


def parsed(data: bytes, policy: email.policy.Policy = email.policy.default) -> EmailMessage:
    message = email.message_from_bytes(data, policy=policy)
    assert isinstance(message, EmailMessage)
    return message


def names(message: EmailMessage) -> list[str]:
    return sorted(message.keys())


@pytest.mark.parametrize("eight_bit", [False, True])
@settings(max_examples=200, deadline=None)
@given(subject=anything, name=anything, text=anything, html=anything)
@example(subject=payload, name=payload, text="", html="")
@example(subject="a\r\nBcc: x@evil.example", name="a\nBcc: x@evil.example", text="\r\n.\r\n", html="\n.\nQUIT")
@example(subject="=?utf-8?b?DQpCY2M6IHhAZXZpbC5leGFtcGxl?=", name='a" <x@evil.example>, "b', text="\r", html="\x85")
@example(subject="=?=?x?q?=0D=0AX:?=?=", name="=??Q?=0AX:y?=", text="\x00", html="\ud800")
def test_no_data_becomes_a_header(eight_bit: bool, subject: str, name: str, text: str, html: str) -> None:
    """Parsed again, and written out once more by Python's own generator, a message has exactly the headers we set."""
    message = letter(subject=subject, text=text, html=html)
    message = replace(message, sender=f"{name} <hello@shop.example>") if "<" not in name else message
    data = mime.build(message, eight_bit=eight_bit)
    once = parsed(data)
    assert names(once) == sorted(EXPECTED)
    again = parsed(once.as_bytes(policy=email.policy.SMTP))
    assert names(again) == sorted(EXPECTED)
    refolded = EmailMessage()
    refolded["Subject"] = str(once["Subject"])  # what decodes the subject and sets it anew must not open a line either
    assert names(parsed(refolded.as_bytes())) in ([], ["Subject"])
    assert [address.addr_spec for address in once["To"].addresses] == [message.to]
    assert [address.addr_spec for address in once["From"].addresses] == ["hello@shop.example"]
    assert b"\r" not in data.replace(b"\r\n", b"") and b"\n" not in data.replace(b"\r\n", b"") and b"\0" not in data
    assert max(map(len, data.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("eight_bit", [False, True])
@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
    html=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400),
)
@example(text="trailing space \ntab\t\nend ", html="x" * 3000)
@example(text=".\n..\nFrom here\n.", html="=3D =\n=")
@example(text="Привет, Анна!\n" * 20, html="日本語\r\n\r" * 30)
def test_content_comes_back_as_it_was(eight_bit: bool, text: str, html: str | None) -> None:
    """Both parts decode to what was given; a newline's form is the wire's."""
    data = mime.build(letter(text=text, html=html), eight_bit=eight_bit)
    assert eight_bit or data.isascii()
    message = parsed(data)
    bodies = [part for part in message.walk() if not part.is_multipart()]
    for part, given_text in zip(bodies, [text] if html is None else [text, html], strict=True):
        decoded = bytes(part.get_payload(decode=True)).decode().replace("\r\n", "\n")
        plain = given_text.replace("\r\n", "\n").replace("\r", "\n")
        assert decoded in (plain, plain + "\n")


@pytest.mark.parametrize(
    ("text", "seven", "eight"),
    [
        ("Hello Ana\n", "7bit", "7bit"),
        ("x" * 900, "7bit", "7bit"),
        ("x" * 901, "quoted-printable", "quoted-printable"),
        ("short\n" * 200 + "x" * 901 + "\nshort\n" * 200, "quoted-printable", "quoted-printable"),
        ("ä" + "x" * 898 + "\n", "quoted-printable", "8bit"),
        ("ä" + "x" * 899 + "\n", "quoted-printable", "quoted-printable"),
        ("Grüße aus der Ferne\n", "quoted-printable", "8bit"),
        ("Привет\n", "base64", "8bit"),
        ("a\0b", "quoted-printable", "quoted-printable"),
        ("a" + mime._boundary(EMAIL.key), "quoted-printable", "quoted-printable"),
    ],
)
def test_a_part_is_encoded_only_where_it_must_be(text: str, seven: str, eight: str) -> None:
    """ASCII in short lines goes as it is, other text where eight bits are taken; NUL, long lines and the boundary never do."""
    for eight_bit, coding in ((False, seven), (True, eight)):
        (part, _) = parsed(mime.build(letter(text=text), eight_bit=eight_bit)).iter_parts()
        assert part["Content-Transfer-Encoding"] == coding


@settings(max_examples=200, deadline=None)
@given(subject=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300))
@example(subject="word " * 60)
@example(subject="x" * 2000)
@example(subject="double  space   inside" * 9)
def test_a_subject_is_read_as_written(subject: str) -> None:
    """Folded or encoded, the subject a reader sees is the one the template made (an encoded word in it is broken up)."""
    if "=?" not in subject:
        assert str(parsed(mime.build(letter(subject=subject)))["Subject"]) == subject.strip()


def test_the_same_message_is_the_same_bytes() -> None:
    """A second hand-over is byte for byte the first: Message-ID and Date come from the message, not from the clock."""
    first = mime.build(EMAIL)
    time.sleep(0.001)
    assert mime.build(replace(EMAIL)) == first
    assert parsed(first)["Message-ID"] == "<0a1b2c3d-7@shop.example>"
    assert parsed(first)["Date"] == "Mon, 02 Mar 2026 12:00:00 +0000"
    assert mime.build(replace(EMAIL, key="0a1b2c3d-8")) != first


@pytest.mark.parametrize(
    ("written", "name", "address"),
    [
        ("Example Records <hello@shop.example>", "Example Records", "hello@shop.example"),
        ("hello@shop.example", "", "hello@shop.example"),
        ('"Records, Ltd." <a.b+c@shop.example>', "Records, Ltd.", "a.b+c@shop.example"),
        ('Ana "the" Shop <a@shop.example>', 'Ana "the" Shop', "a@shop.example"),
        ("Шёп <a@shop.example>", "Шёп", "a@shop.example"),
        ("Shop <a@bücher.example>", "Shop", "a@xn--bcher-kva.example"),
        ("Shop <a@BÜCHER.example>", "Shop", "a@xn--bcher-kva.example"),
        ("Shop <a@straße.example>", "Shop", "a@xn--strae-oqa.example"),
        ("Shop <a@ईमेल。भारत>", "Shop", "a@xn--o1b0fm7f.xn--h2brj9c"),
        ("a@localhost", "", "a@localhost"),
    ],
)
def test_senders_are_read(written: str, name: str, address: str) -> None:
    """A sender is a name and an address, and comes back so from the header."""
    message = parsed(mime.build(replace(EMAIL, sender=written)))
    (found,) = message["From"].addresses
    assert (found.display_name, found.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "ana",
        "@b.example",
        "ana@",
        "a b@c.example",
        "a@b.example, c@d.example",
        "a@b.example\r\nRCPT TO:<x@evil.example>",
        "a@b.example\n",
        "<a@b.example>",
        "a@b@c.example",
        "a@-b.example",
        "a\x00@b.example",
        "a\ud800@b.example",
        "a@b.example>",
        "x" * 250 + "@b.example",
        "a@" + "б" * 200 + ".example",
        "ä" * 120 + "@customer.example",
        "a@ü..example",
        "a@-ü.example",
        "a@☃.example",
    ],
)
def test_what_is_no_address_is_refused_unsaid(bad: str) -> None:
    """An address that is not exactly one address is refused, and the error does not repeat it."""
    with pytest.raises(ContentError) as caught:
        mime.build(replace(EMAIL, to=bad or None))
    assert not bad or bad not in str(caught.value)
    if bad == bad.strip():  # white space around a sender's address is forgiven
        with pytest.raises(ContentError):
            mime.build(replace(EMAIL, sender=f"Shop <{bad}>"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Bcc", "x@evil.example"),
        ("bcc", "x@evil.example"),
        ("Content-Type", "text/html"),
        ("X-A\r\nBcc", "x"),
        ("X-A\n", "x"),
        ("X A", "x"),
        ("", "x"),
        ("X-A:", "x"),
        ("List-Unsubscribe", "<https://a>\r\nBcc: x@evil.example"),
        ("List-Unsubscribe", payload),
        ("List-Unsubscribe", "<https://ä>"),
        ("List-Unsubscribe", "x" * 1000),
    ],
)
def test_headers_of_ours_are_not_repaired(name: str, value: str) -> None:
    """A header that is not ours to set, or whose value is not one short line of ASCII, stops the message."""
    with pytest.raises(ContentError):
        mime.build(letter(headers={name: value}))

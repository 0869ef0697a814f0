"""Links lead to their own message only, and cannot be forged."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.content.links import Links

LINKS = Links("a secret", "https://shop.example/")
UNRESERVED = string.ascii_letters + string.digits + "-._~"


def _token(url: str) -> str:
    return url.rpartition("/")[2]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**31))
@example(0, 0)
def test_a_link_reads_back_as_what_it_was_made_for(message_id: int, link_id: int) -> None:
    """Each kind, for any number the database can hold."""
    assert LINKS.read_unsubscribe(_token(LINKS.unsubscribe(message_id))) == message_id
    assert LINKS.read_open(_token(LINKS.open(message_id))) == message_id
    assert LINKS.read_open(_token(LINKS.open(message_id)).removesuffix(".gif")) == message_id
    assert LINKS.read_click(_token(LINKS.click(message_id, link_id))) == (message_id, link_id)
    invitation = LINKS.invitation(message_id)
    assert LINKS.read_invitation(invitation) == message_id
    assert len(invitation) <= 64 and set(invitation) <= set(string.ascii_letters + string.digits + "-_")  # Telegram's


@pytest.mark.parametrize("kind", ["unsubscribe", "click", "invitation"])
def test_a_token_with_any_character_changed_reads_as_nothing(kind: str) -> None:
    """Every place, every other character of the alphabet: the last one of the signature, whose spare bits base64 ignores, too."""
    token, read = {
        "unsubscribe": (_token(LINKS.unsubscribe(123_456)), LINKS.read_unsubscribe),
        "click": (_token(LINKS.click(123_456, 7)), LINKS.read_click),
        "invitation": (LINKS.invitation(123_456), LINKS.read_invitation),
    }[kind]
    assert read(token) is not None
    for place, genuine in enumerate(token):
        for other in UNRESERVED:
            if other != genuine:
                assert read(token[:place] + other + token[place + 1 :]) is None


def test_a_token_cut_or_lengthened_reads_as_nothing() -> None:
    """Neither a prefix nor a longer text is the token."""
    token = _token(LINKS.unsubscribe(99))
    assert all(LINKS.read_unsubscribe(token[:length]) is None for length in range(len(token)))
    assert all(LINKS.read_unsubscribe(more) is None for more in (token + "A", token + "=", " " + token, "0" + token))


def test_a_token_serves_its_own_purpose_only() -> None:
    """A click's or an open's token unsubscribes nobody."""
    unsubscribe, opened = _token(LINKS.unsubscribe(5)), _token(LINKS.open(5)).removesuffix(".gif")
    assert LINKS.read_unsubscribe(opened) is None
    assert LINKS.read_open(unsubscribe) is None
    assert LINKS.read_click(unsubscribe) is None
    assert LINKS.read_unsubscribe(_token(LINKS.click(5, 5))) is None
    assert LINKS.read_invitation(unsubscribe.replace(".", "_", 1)) is None


def test_another_secret_reads_nothing() -> None:
    """A token of one installation is none of another."""
    assert Links("another secret", "https://shop.example").read_unsubscribe(_token(LINKS.unsubscribe(5))) is None


@settings(max_examples=200)
@given(st.text(max_size=100))
@example("\ud800.x")
@example("." * 100)
@example("9" * 100_000)
@example("-1.x")
def test_rubbish_reads_as_nothing(token: str) -> None:
    """Whatever a scanner puts into the address, the answer is None and never an error."""
    assert LINKS.read_unsubscribe(token) is None
    assert LINKS.read_open(token) is None
    assert LINKS.read_click(token) is None


def test_links_are_short_and_under_the_public_address() -> None:
    """A link of the millionth message leaves room in an SMS, and a slash at the end of public_url is not doubled."""
    url = LINKS.unsubscribe(1_000_000)
    assert url.startswith("https://shop.example/u/")
    assert len(_token(url)) <= 28
    assert set(_token(url)) <= set(UNRESERVED)


def test_a_link_is_the_same_each_time_it_is_made() -> None:
    """A second hand-over of a message is equal to the first, byte for byte."""
    assert LINKS.click(1, 2) == Links("a secret", "https://shop.example").click(1, 2)
    assert LINKS.click(1, 2) != LINKS.click(2, 1)


def test_our_own_links_are_known() -> None:
    """What is ours is not wrapped again; a shop's page beside them is not ours."""
    assert LINKS.is_ours(LINKS.unsubscribe(1))
    assert not LINKS.is_ours("https://shop.example/undies")


def test_a_link_in_an_old_mail_works_for_ever() -> None:
    """Written down once: whatever is done to the code, these tokens are read as what they were made for."""
    links = Links("a secret", "https://shop.example/")
    assert links.unsubscribe(123_456) == "https://shop.example/u/2n9c.naUV4C3G7OxLQJtmo47MOw"
    assert links.open(123_456) == "https://shop.example/o/2n9c.PXAtE1rjTPiqu5rgsff1FQ.gif"
    assert links.click(123_456, 7) == "https://shop.example/c/2n9c-7.SUxtrIFjQioeefGX7TUHOA"

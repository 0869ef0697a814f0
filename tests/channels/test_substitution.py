"""SendGrid's substitutions: what it would write out for each recipient is, byte for byte, what was rendered for them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.sendgrid.substitution import Common, common, word_for

WORD = word_for([])
# Texts that try to be mistaken: pieces of the tags themselves, the separators, what may stand next to each other
PIECES = st.sampled_from(
    [
        "-",
        WORD,
        WORD[:4],
        WORD[4:],
        WORD + "a",
        f"-{WORD}0-",
        "0-",
        "1",
        "\n",
        ">",
        "<p>",
        "Ana",
        "Žiga",
        "🎉",
        " ",
        "\r",
        "%",
        "$1",
        "\\1",
    ]
)
TEXT = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)


def expanded(shared: Common, number: int, *, seed: int = 0) -> tuple[str, ...]:
    """One message as the vendor writes it out: it replaces in any order, and once more what replacing brought."""
    tags = list(zip(shared.tags, shared.values[number], strict=True))
    random.Random(seed).shuffle(tags)
    parts = list(shared.parts)
    for tag, value in tags * 2:
        parts = [part.replace(tag, value) for part in parts]
    return tuple(parts)


def shared_by(messages: Sequence[tuple[str, ...]]) -> Common:
    return common(messages, word=word_for(text for parts in messages for text in parts))


@st.composite
def batches(draw: st.DrawFn) -> list[tuple[str, ...]]:
    """Messages of some parts each: a skeleton of their own pieces, with others for each message in between."""
    skeletons = draw(st.lists(st.lists(TEXT, min_size=1, max_size=6), min_size=1, max_size=2))
    count = draw(st.integers(1, 5))
    return [
        tuple("".join(piece + draw(TEXT) if draw(st.booleans()) else piece for piece in pieces) for pieces in skeletons)
        for _ in range(count)
    ]


@settings(max_examples=400, deadline=None)
@given(batches(), st.integers(0, 1000))
def test_what_is_written_out_is_what_was_asked(messages: list[tuple[str, ...]], seed: int) -> None:
    """Whatever the texts, in whatever order the tags are replaced, even twice: each message comes out as it went in."""
    shared = shared_by(messages)
    for number, parts in enumerate(messages):
        assert expanded(shared, number, seed=seed) == parts


@given(st.lists(TEXT, max_size=8))
def test_the_word_is_in_none_of_the_texts(texts: list[str]) -> None:
    """The word of the tags is one of letters that no text has, however hard the texts try."""
    word = word_for([*texts, f"{WORD} {WORD}a {WORD}b"])
    assert word.isalpha() and not any(word in text for text in [*texts, f"{WORD} {WORD}a {WORD}b"])


PAGE = "<html>\n<h1>Good morning, {name}</h1>\n<p>The same for all.</p>\n<a href='https://x.example/{code}'>See</a>\n</html>"


@pytest.mark.parametrize("page", [PAGE, PAGE.replace("\n", "")], ids=["lines", "one line"])
def test_what_is_common_is_sent_once(page: str) -> None:
    """Of a page only what differs is sent for each person, be it in one line or in many; the same value has one tag."""
    filler = "<p>And this.</p>" * 50
    messages = [
        (f"Dear Ana{n}", (page + filler + "{name}").format(name=f"Ana{n}", code=f"a{n}z" * 20)) for n in range(1, 4)
    ]
    shared = shared_by(messages)
    assert all(len("".join(values)) < 200 for values in shared.values)
    assert filler in shared.parts[1]
    assert [expanded(shared, number) for number in range(3)] == messages


def test_one_message_has_no_tags() -> None:
    """Where all is common there is nothing to replace."""
    shared = shared_by([("a", "b"), ("a", "b")])
    assert (shared.parts, list(shared.tags), list(shared.values)) == (["a", "b"], [], [(), ()])


def test_no_tag_is_the_beginning_of_another() -> None:
    """With dozens of tags, and digits right behind them, each is still replaced by its own value."""
    messages = [("\n".join(f"a{n * (place + 7)}-{place}\nsame" for place in range(40)),) for n in range(1, 4)]
    shared = shared_by(messages)
    assert len(shared.tags) > 20
    for seed in range(20):
        assert [expanded(shared, number, seed=seed) for number in range(3)] == messages

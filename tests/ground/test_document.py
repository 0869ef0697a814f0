"""YAML files are read with their places, take nothing that makes trouble, and complain in words."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from engine import document
from engine.document import Items, Pairs, Position, Text
from engine.errors import WorkspaceError


def complaint(text: str) -> str:
    with pytest.raises(WorkspaceError) as caught:
        document.parse(text, "f.yaml")
    return str(caught.value)


def test_values_stay_text_and_know_their_place() -> None:
    """Nothing is guessed: 12:30 is no number, `no` is Norway, +1 keeps its sign; and each value says where it stands."""
    node = document.parse("at: 12:30\nwhere:\n  - no\n  - '+15551234'\n", "f.yaml")
    assert document.plain(node) == {"at": "12:30", "where": ["no", "+15551234"]}
    assert isinstance(node, Pairs)
    where = node.get("where")
    assert isinstance(where, Items)
    assert where.items[1] == Text("+15551234", Position(file="f.yaml", line=4, column=5), quoted=True)
    assert str(document.position_of(node, ("where", 0))) == "f.yaml:3:5"
    assert str(document.position_of(node, ("where",), key=True)) == "f.yaml:2:1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a:\n\tb: 1", "f.yaml:2:1: error: this line is indented with a tab. Indent with spaces: YAML takes no tabs."),
        ("a:\n  - 1\n \t- 2", "f.yaml:3:2: error: this line is indented with a tab."),
        ("a: b: c", "f.yaml:1:5: error: a text with a colon in it needs quotes."),
        ("a: 'x\nb: 1\n", "f.yaml:1:4: error: this quote is never closed."),
        ("a: [1, 2\nb: 3", "f.yaml:1:4: error: this [ is never closed, or a comma is missing."),
        (
            "a: [\n",
            "f.yaml:2:1: error: a value is missing here, or a [ or { above is never closed. Put ] or } at its end.",
        ),
        ("a: {b: 1\nc: 3", "f.yaml:1:4: error: this { is never closed, or a comma is missing."),
        ("a: > 18", "f.yaml:1:4: error: a value cannot begin with > or |. Write a comparison as `{at_least: 18}`"),
        ("a: @x", "f.yaml:1:4: error: a value cannot begin with this character."),
        ("a:\n  b: 1\n c: 2", "f.yaml:3:2: error: this line does not fit to those above it."),
        ("a:\n  - b\n  c: 1", "f.yaml:3:3: error: this line stands in a list and does not begin with `- `."),
        ("a: 1\nfoo\nb: 2", "f.yaml:2:1: error: this line has no colon."),
        ("a: - b", "f.yaml:1:4: error: a list cannot begin here."),
        ('a: "\\z"', "f.yaml:1:5: error: this \\ means nothing here."),
        ("a: {b: */5 * *}", "f.yaml:1:8: error: a value that begins with * or & needs quotes."),
        ("a: 1\nb: \x01", "f.yaml:2:4: error: a character that YAML does not allow"),
        ("a: 1\nb: 2\na: 3", 'f.yaml:3:1: error: the key "a" stands already in line 1.'),
        ("a: &x 1", "f.yaml:1:4: error: anchors and aliases"),
        ("a: *x", "f.yaml:1:4: error: anchors and aliases"),
        ("a: !x 1", "f.yaml:1:4: error: tags (!) are not used here."),
        ("a: !!python/object:os.system {b: 1}", "f.yaml:1:4: error: tags (!) are not used here."),
        ("a: !!seq [1]", "f.yaml:1:4: error: tags (!) are not used here."),
        ("a: ! [1]", "f.yaml:1:4: error: tags (!) are not used here."),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: error: a second YAML document begins here."),
        ("? [a]\n: b", "f.yaml:1:3: error: a key must be a plain word."),
        (
            "[" * 60,
            "error: this is nested deeper than 50 levels. Close what is open, or give an inner part a segment of its own and name that.",
        ),
    ],
)
def test_what_is_refused_is_told_where_and_how_to_mend_it(text: str, told: str) -> None:
    """Each kind of mistake has its own words at its own place, not the parser's."""
    assert told in complaint(text)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is either a tree or a problem with a place in it."""
    try:
        document.parse(text, "f.yaml")
    except WorkspaceError as error:
        lines = sum(text.count(end) for end in ("\n", "\r", "\x85", "\u2028", "\u2029")) + 2
        assert error.problems
        assert all(1 <= problem.at.line <= lines and problem.at.column >= 1 for problem in error.problems)


plain_values = st.recursive(
    st.one_of(st.none(), st.text(alphabet="ab :#'\"\\-%_é", max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain_values)
def test_plain_and_node_are_opposites(value: object) -> None:
    """A tree made of plain values gives the same values back: empty stays empty, the text "null" stays a text."""
    assert document.plain(document.node(value, Position(file="f.yaml"))) == value


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    """Not UTF-8, too large, not there: one sentence each."""
    (tmp_path / "latin.yaml").write_bytes("a: pâté".encode("latin-1"))
    (tmp_path / "large.yaml").write_text("a: " + "x" * 1_000_001)
    for name, told in (
        ("latin", "is not UTF-8 text"),
        ("large", "is larger than 1,000,000 bytes"),
        ("gone", "cannot be read"),
    ):
        with pytest.raises(WorkspaceError, match=told):
            document.load(tmp_path / f"{name}.yaml")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Room(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(ge=1, description="In square metres.")
    colour: Colour = Colour.RED


class House(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="What the neighbours call it.")
    rooms: dict[str, Room] = Field(default_factory=dict)
    doors: list[str] = Field(default_factory=list)
    alias: str = Field(default_factory=lambda data: data["name"])


def told(text: str) -> list[str]:
    with pytest.raises(WorkspaceError) as caught:
        document.validate(House, document.parse(text, "house.yaml"))
    return [str(problem) for problem in caught.value.problems]


def test_every_mistake_is_told_at_its_place_with_a_remedy() -> None:
    """Wrong values, unknown keys and missing ones, at any depth, all at once."""
    text = (
        "rooms:\n  hall: {size: big, color: red}\n  attic: {colour: blu}\n  cellar: {size: 0, colour: }\ndoors: front\n"
    )
    assert told(text) == [
        'house.yaml:1:1: error: "name" is missing. What the neighbours call it.',
        'house.yaml:2:16: error: "size" is not a whole number (here: "big"). In square metres.',
        'house.yaml:2:21: error: unknown key "color". Did you mean "colour"?',
        'house.yaml:3:3: error: "size" is missing. In square metres.',
        'house.yaml:3:19: error: "colour" cannot be "blu". Did you mean "blue"?',
        'house.yaml:4:18: error: "size" must be at least 1 (here: "0"). In square metres.',
        'house.yaml:4:29: error: "colour" has no value.',
        'house.yaml:5:8: error: "doors" takes a list (here: "front").',
    ]


def test_a_misspelt_key_is_one_mistake_not_two() -> None:
    """`nmae` is an unknown key; that `name` is missing only follows from it."""
    assert told("nmae: x\n") == ['house.yaml:1:1: error: unknown key "nmae". Did you mean "name"?']


def test_suggestions_are_near_or_a_short_list() -> None:
    """The nearest name; else what is known, but not hundreds of names."""
    assert document.suggestion("coutry", ["country", "city"]) == 'Did you mean "country"?'
    assert document.suggestion("zzz", ["a", "b"]) == "Known: a, b."
    assert document.suggestion("zzz", [f"name{n:02}" for n in range(40)]).endswith("name11 and 28 more.")
    assert document.suggestion("zzz", []) == ""

"""One mistake hides no other: whatever a reader can still find is told in the same run."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.questions.examples.read import read_examples
from engine.rules.workspace import survey
from tests.rules.test_errors import CAMPAIGN, CONFIG, SEGMENTS, told


def read(**files: str) -> list[str]:
    with TemporaryDirectory() as made:
        return told(Path(made), **files)


TRAPS: dict[str, tuple[str, str]] = {
    "the same key": ("  {}:\n    who: {{country: FI, country: SE}}\n", 'the key "country" stands already'),
    "a mistake in what stands twice": (
        "  {}:\n    who: {{country: FI}}\n    who: {{contry: FI}}\n",
        'there is no attribute "contry"',
    ),
    "an anchor": ("  {}:\n    who: &who {{country: FI}}\n", "anchors and aliases"),
    "an alias of nothing": ("  {}:\n    description: *none\n    who: {{country: FI}}\n", "anchors and aliases"),
    "a tag": ("  {}:\n    who: {{country: !!str FI}}\n", "tags (!) are not used here"),
    "a tab": ("  {}:\n\t  who: {{country: FI}}\n", "indented with a tab"),
    "a control character": ("  {}:\n    description: a\x0bb\n    who: {{country: FI}}\n", "YAML does not allow"),
    "an expression without quotes": ("  {}:\n    description: {{{{ x }}}}\n    who: {{country: FI}}\n", "a plain word"),
    "yes for a number": ("  {}:\n    who: {{age: yes}}\n", '"yes" cannot be read'),
    "base sixty": ("  {}:\n    who: {{did: purchase, within: 1:30}}\n", "a duration is"),
    "a misspelt operator": ("  {}:\n    who: {{age: {{at_lest: 3}}}}\n", 'unknown operator "at_lest"'),
    "what can never hold": ("  {}:\n    who: {{age: {{at_least: 3, at_most: 2}}}}\n", "at_most"),
}
"""A segment with one mistake each, and the words for it. A brace is doubled for `format`."""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(TRAPS)), min_size=1, unique=True), st.booleans())
def test_every_mistake_of_a_file_is_told_in_one_run(chosen: list[str], second_document: bool) -> None:
    """Whatever mistakes come together in one file, in whatever order: each is told, and nothing that follows from another."""
    segments = [TRAPS[each][0].format(f"s{number}") for number, each in enumerate(chosen)]
    text = "segments:\n" + "".join(segments)
    expected = [TRAPS[each][1] for each in chosen]
    if "a mistake in what stands twice" in chosen:
        expected.append('the key "who" stands already')
    if second_document:
        text += "---\nsegments:\n  other:\n    who: {contri: FI}\n"
        expected += ["a second YAML document", 'no attribute "contri"']
    found = read(a=text)
    for words in expected:
        assert sum(words in line for line in found) == expected.count(words), (words, found)
    assert len(found) == len(expected), found


def test_the_places_are_those_of_the_file_though_tabs_were_read_as_spaces(tmp_path: Path) -> None:
    """Behind a tab, a column is counted as editors count it: a tab is one."""
    text = "segments:\n\tfinns:\n\t\twho: {contry: FI}\n\t\tdescripton: x\n"
    assert told(tmp_path, a=text) == [
        "rules/a.yaml:2:1: error: this line is indented with a tab, and so are 2 more. Indent with spaces: YAML takes no tabs.",
        'rules/a.yaml:3:9: error: there is no attribute "contry". Did you mean "country"? Attributes are declared in config.yaml under `attributes:`.',
        'rules/a.yaml:4:3: error: unknown key "descripton" in the segment "finns". Did you mean "description"?',
    ]


def test_a_tab_among_spaces_means_what_makes_it_yaml(tmp_path: Path) -> None:
    """A line with a tab stands where its neighbours with spaces stand, whether the tab was four wide or eight."""
    for name, spaces in (("four", 4), ("eight", 8)):
        folder = tmp_path / name
        folder.mkdir()
        text = f"segments:\n  finns:\n{' ' * spaces}description: x\n\twho: {{contry: FI}}\n"
        assert [line.split(": error")[0] for line in told(folder, a=text)] == ["rules/a.yaml:4:1", "rules/a.yaml:4:8"]


def test_a_key_is_told_each_time_it_stands_again(tmp_path: Path) -> None:
    """And a mistake in any of its values."""
    text = "segments:\n  x:\n" + "".join(f"    who: {{c{number}: FI}}\n" for number in range(3))
    found = told(tmp_path, a=text)
    assert [line.split(": ")[0] for line in found if "stands already" in line] == [
        "rules/a.yaml:4:5",
        "rules/a.yaml:5:5",
    ]
    assert [number for number in range(3) if any(f'"c{number}"' in line for line in found)] == [0, 1, 2]


def test_what_a_second_block_of_segments_names_is_known(tmp_path: Path) -> None:
    """Two `segments:` in a file are one mistake; that others mention those of the second is none."""
    text = SEGMENTS + "segments:\n  swedes:\n    who: {segment: lapsing}\n"
    found = told(tmp_path, a=text, b=CAMPAIGN.replace("audience: lapsing", "audience: swedes"))
    assert found == ['rules/a.yaml:4:1: error: the key "segments" stands already in line 1. Keep one of the two.']


def test_two_campaigns_in_a_file_are_both_read(tmp_path: Path) -> None:
    """Behind `---`: refused, and known, with their mistakes."""
    second = CAMPAIGN.replace("win-back", "thanks").replace("email", "emial")
    opened = "segments:\n  opened:\n    who: {opened: thanks}\n"
    assert told(tmp_path, a=SEGMENTS, b=f"{CAMPAIGN}---\n{second}", c=opened) == [
        "rules/b.yaml:8:1: error: a second YAML document begins here. Use one file for each.",
        'rules/b.yaml:12:10: error: "channel" cannot be "emial". Did you mean "email"?',
    ]


def test_merged_keys_are_where_they_were_meant_to_be(tmp_path: Path) -> None:
    """`<<: *base` is refused for its anchor, and nothing is missing for that."""
    base = "segments:\n  base: &base\n    description: x\n    who: {country: FI}\n  more:\n    <<: *base\n    description: y\n"
    (found,) = told(tmp_path, a=base)
    assert found.startswith("rules/a.yaml:2:9: error: anchors and aliases")


def test_a_bomb_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Aliases of aliases: each anchor is told, and what they would repeat is not counted out."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    found = told(tmp_path, a="\n".join(lines))
    assert 2 <= len(found) <= 12
    assert found[-1].endswith("comes to more than 1,000 values: here the reading ends.")


def test_config_is_read_on_behind_a_repeated_key(tmp_path: Path) -> None:
    """Its other mistakes are told, also in what stands again; and what that declares, the rules may use."""
    config = CONFIG.replace("purposes:", "attributes: {vip: bolean, city: text}\npurposes:").replace(
        "use: file", "us: file"
    )
    found = told(tmp_path, config=config, a=SEGMENTS.replace("country: FI", "city: Oulu, age: x"))
    assert [line.split(": ", 1)[0] for line in found] == [
        "config.yaml:7:1",
        "config.yaml:7:19",
        "config.yaml:11:3",
        "rules/a.yaml:3:28",
    ], found


def test_a_test_is_read_on_behind_a_repeated_key(tmp_path: Path) -> None:
    """As a rule is."""
    told(tmp_path, a=SEGMENTS)
    (tmp_path / "rules" / "tests").mkdir()
    text = "test: x\nnow: 2026-01-01\nnow: 2026-01-32\ncustomers: {ana: {contry: FI}}\nexpect: {segments: {lapsig: [ana]}}\n"
    (tmp_path / "rules" / "tests" / "x.yaml").write_text(text)
    examples, problems = read_examples(survey(tmp_path).workspace)
    assert [problem.at.line for problem in problems] == [3, 4, 5, 3]
    assert not examples


def test_a_file_that_is_no_yaml_hides_no_misspelt_name_elsewhere(tmp_path: Path) -> None:
    """What is a word of it may be a segment, or a campaign; what is none is none."""
    broken = "segments:\n  lapsing:\n    who: '\n"
    rules = "segments:\n  x:\n    who: {segment: lapsing}\n  y:\n    who: {segment: lapsin}\n  z:\n    who: {opened: gone}\n"
    assert [line.split(": ")[0] for line in told(tmp_path, a=broken, b=rules)] == [
        "rules/a.yaml:3:10",
        "rules/b.yaml:5:20",
        "rules/b.yaml:7:19",
    ]


@pytest.mark.parametrize("raw", [b"segments: {x: p\xe2t\xe9}", b"a: " + b"x" * 1_000_001])
def test_a_file_whose_words_are_not_known_blames_nobody(tmp_path: Path, raw: bytes) -> None:
    """Not UTF-8, or too large: any segment may stand in it."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "z.yaml").write_bytes(raw)
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "rules" / "b.yaml").write_text(CAMPAIGN)
    assert [problem.at.file for problem in survey(tmp_path).problems] == ["rules/z.yaml"]


def test_a_list_that_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    """A folder of that name, or another encoding: whoever mentions the list made none."""
    lists = tmp_path / "rules" / "lists"
    lists.mkdir(parents=True)
    (lists / "folder.txt").mkdir()
    (lists / "latin.txt").write_bytes("é\n".encode("latin-1"))
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "rules" / "a.yaml").write_text(
        "segments:\n  x: {who: {on_list: folder.txt}}\n  y: {who: {on_list: latin.txt}}\n  z: {who: {segment: w}}\n"
    )
    found = [str(problem) for problem in survey(tmp_path).problems]
    assert found == [
        'rules/a.yaml:4:22: error: there is no segment "w". Known: x, y, z.',
        "rules/lists/folder.txt:1:1: error: cannot be read: Is a directory.",
        "rules/lists/latin.txt:1:1: error: is not UTF-8 text. Save it as UTF-8.",
    ]


def test_what_only_follows_from_the_other_value_is_not_told(tmp_path: Path) -> None:
    """What would be wrong elsewhere if the second value were meant: a channel without its provider, say."""
    (found,) = told(tmp_path, config=f"{CONFIG}providers:\n  other: {{use: file}}\n", a=SEGMENTS)
    assert found.startswith('config.yaml:14:1: error: the key "providers" stands already')

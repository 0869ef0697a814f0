"""The files of rules/: which hold segments, which a campaign, and what all of them together say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine import document
from engine.document import Again, Node, Pairs, Position, Text, suggestion
from engine.errors import Problem, WorkspaceError
from engine.rules.campaign import Campaign
from engine.rules.config import Config
from engine.rules.consistency import KEYS, check_campaign
from engine.rules.lists import read_lists
from engine.rules.never import findings
from engine.rules.read import Reading, read_condition, read_segment
from engine.rules.syntax import Condition, Segment
from engine.rules.vocabulary import Vocabulary
from engine.rules.weight import Weight, rings, too_heavy, weigh, weights

SUFFIXES = frozenset((".yaml", ".yml"))
TESTS = Path("rules", "tests")
"""The folder of the workspace's own tests, which hold no rules: engine/questions/examples reads them."""


@dataclass(kw_only=True)
class Found:
    """What the rules say so far. `drafts` are the campaigns' mappings, as written; `wrong`: those of campaigns with a mistake.
    `audiences`: the conditions of campaigns that have one of their own.
    """

    segments: dict[str, Segment] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    drafts: dict[str, Pairs] = field(default_factory=dict)
    wrong: list[Pairs] = field(default_factory=list)
    audiences: dict[str, Condition] = field(default_factory=dict)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def find(folder: Path, config: Config) -> Found:
    """Read every file under rules/. What is wrong is in `problems`."""
    found = Found()
    heap = _sorted_out(folder, found.problems)
    found.lists = read_lists(folder, found.problems)
    found.problems += _twice([name for name, _ in heap.segments], "segment")
    found.problems += _twice(heap.titles, "campaign")
    vocabulary = _vocabulary(heap, config, found)
    reading = Reading(vocabulary=vocabulary, problems=found.problems)
    for name, node in heap.segments:
        segment = read_segment(reading, name, node)
        if segment and name.value not in found.segments:
            found.segments[name.value] = segment
    heavy = _weigh(found)
    audiences: list[Condition] = []
    for pairs in heap.campaigns:
        _campaign(reading, pairs, config, found)
        for condition in _audience(reading, pairs, heavy):
            audiences.append(condition)
            found.audiences.update((name, condition) for name, draft in found.drafts.items() if draft is pairs)
    found.problems += (finding.problem for finding in findings(_light(found, heavy), audiences))
    for again in heap.again:
        found.problems += again.news(_mistakes(vocabulary, again.root, config))
    return found


def _vocabulary(heap: _Heap, config: Config, found: Found) -> Vocabulary:
    """The names that rules may use. What stands in a file that could not be sorted out may be a name, and is not complained of."""
    others = [_sort(again.root, []) for again in heap.again]
    names = frozenset(name.value for each in (heap, *others) for name, _ in each.segments)
    titles = frozenset(name.value for each in (heap, *others) for name in each.titles)
    perhaps = frozenset((section, word) for section in ("segments", "campaigns") for word in heap.perhaps)
    unread = frozenset((("segments",), ("campaigns",)) if heap.unread else ())
    broken = config.broken | unread | perhaps
    return Vocabulary.of(config.settings, names, broken, campaigns=titles, lists=found.lists)


def _mistakes(vocabulary: Vocabulary, node: Node, config: Config) -> list[Problem]:
    """What is wrong in one file by itself."""
    problems: list[Problem] = []
    sorted_out = _sort(node, problems)
    reading = Reading(vocabulary=vocabulary, problems=problems)
    for name, inner in sorted_out.segments:
        read_segment(reading, name, inner)
    for pairs in sorted_out.campaigns:
        _campaign(reading, pairs, config, Found())
    return problems


def rule_files(folder: Path) -> Iterator[Path]:
    """The YAML files under rules/, at any depth, in the order of their names. Hidden ones and tests are left alone."""
    return (path for path in _yaml_files(folder, Path("rules")) if not path.relative_to(folder).is_relative_to(TESTS))


def test_files(folder: Path) -> Iterator[Path]:
    """The YAML files under rules/tests/, in the order of their names."""
    return _yaml_files(folder, TESTS)


def _yaml_files(folder: Path, below: Path) -> Iterator[Path]:
    for path in sorted((folder / below).rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in SUFFIXES and not hidden and path.is_file():
            yield path


@dataclass(kw_only=True)
class _Heap:
    """All segments by name, and all campaigns. `again`: files once more, with what their repeated keys say the next time.

    perhaps: words of files that could not be sorted out whole; `unread`: there are some whose words are not known.
    """

    segments: list[tuple[Text, Node]] = field(default_factory=list)
    campaigns: list[Pairs] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)
    perhaps: set[str] = field(default_factory=set)
    unread: bool = False

    @property
    def titles(self) -> list[Text]:
        names = (pairs.get("campaign") for pairs in self.campaigns)
        return [name for name in names if isinstance(name, Text) and not name.empty]


def _sorted_out(folder: Path, problems: list[Problem]) -> _Heap:
    """What all files hold."""
    heap = _Heap()
    for path in rule_files(folder):
        file = document.read(path, shown_as=path.relative_to(folder).as_posix())
        problems += file.problems
        before = len(problems)
        for root in file.roots:
            sorted_out = _sort(root, problems)
            heap.segments += sorted_out.segments
            heap.campaigns += sorted_out.campaigns
        heap.again += file.again
        if len(problems) > before or (file.problems and not file.roots):
            heap.perhaps |= file.words
            heap.unread |= not file.text
    return heap


def _sort(node: Node, problems: list[Problem]) -> _Heap:
    """What one file holds."""
    heap = _Heap()
    if not isinstance(node, Pairs):
        if not (isinstance(node, Text) and node.empty):
            problems.append(_misfit(node.at))
    elif node.get("segments") is not None:
        heap.segments += _segments(node, problems)
    elif node.get("campaign") is not None:
        heap.campaigns.append(node)
    elif node.pairs:
        problems.append(_neither(node))
    return heap


def _segments(node: Pairs, problems: list[Problem]) -> list[tuple[Text, Node]]:
    for key, _ in node:
        if key.value in KEYS:
            remedy = "Give the campaign a file of its own."
            problems.append(
                Problem(at=key.at, what=f'"{key.value}" cannot stand in a file of segments.', remedy=remedy)
            )
        elif key.value != "segments":
            remedy = "If this is a segment, indent it under `segments:`."
            problems.append(Problem(at=key.at, what=f'unknown key "{key.value}" beside "segments".', remedy=remedy))
    named = node.get("segments")
    if isinstance(named, Pairs):
        return list(named)
    if not (isinstance(named, Text) and named.empty):
        remedy = "Put each segment's name under it, without `- `, and `who:` under the name."
        problems.append(Problem(at=named.at if named else node.at, what='"segments" holds names.', remedy=remedy))
    return []


def _misfit(at: Position) -> Problem:
    remedy = "Begin it with `segments:` or with `campaign: name`."
    return Problem(at=at, what="a file of rules holds segments or one campaign.", remedy=remedy)


def _neither(node: Pairs) -> Problem:
    """A file without its first word: tell what it looks like."""
    keys = set(node.keys())
    first = node.pairs[0][0]
    near = suggestion(first.value, ("segments", "campaign")) if len(keys) == 1 or first.value not in KEYS else ""
    if near.startswith("Did"):
        return Problem(at=first.at, what=f'unknown key "{first.value}".', remedy=near)
    if "test" in keys:
        remedy = f"Move the file into {TESTS.as_posix()}/."
        return Problem(at=node.at, what="this is a test: it does not stand among the rules.", remedy=remedy)
    if keys & {"schedule", "trigger", "channel", "audience", "template"}:
        return Problem(at=node.at, what="this campaign has no name.", remedy="Begin the file with `campaign: name`.")
    if any(isinstance(value, Pairs) and "who" in value.keys() for _, value in node):  # noqa: SIM118
        remedy = "Put `segments:` above them, and indent them under it."
        return Problem(at=node.at, what="these segments need a word above them.", remedy=remedy)
    return _misfit(node.at)


def _twice(names: list[Text], noun: str) -> Iterator[Problem]:
    seen: dict[str, Position] = {}
    for name in names:
        if name.value in seen:
            what = f'there is another {noun} called "{name.value}", at {seen[name.value]}.'
            yield Problem(at=name.at, what=what, remedy="Rename one of the two.")
        seen.setdefault(name.value, name.at)


def _weigh(found: Found) -> dict[str, Weight]:
    """Note rings and oversize; without a weight is what leads to a ring."""
    found.problems.extend(rings(found.segments))
    heavy = weights(found.segments)
    for name, weight in heavy.items():
        found.problems.extend(too_heavy(f'the segment "{name}"', found.segments[name].at, weight))
    return heavy


def _light(found: Found, heavy: Mapping[str, Weight]) -> dict[str, Segment]:
    """Without what is refused for its size, or for a ring."""
    return {
        name: found.segments[name]
        for name, weight in heavy.items()
        if not too_heavy("", found.segments[name].at, weight)
    }


def _campaign(reading: Reading, pairs: Pairs, config: Config, found: Found) -> None:
    check_campaign(reading, pairs, config.settings)
    try:
        campaign = document.validate(Campaign, pairs, time_zone=config.settings.time_zone)
    except WorkspaceError as error:
        reading.problems.extend(error.problems)
        found.wrong.append(pairs)
        return
    if campaign.campaign not in found.campaigns:
        found.campaigns[campaign.campaign] = campaign
        found.drafts[campaign.campaign] = pairs


def _audience(reading: Reading, pairs: Pairs, heavy: Mapping[str, Weight]) -> Iterator[Condition]:
    """A campaign's own condition, if it has one and can be answered."""
    node = pairs.get("audience")
    condition = read_condition(Reading(vocabulary=reading.vocabulary), node) if isinstance(node, Pairs) else None
    if condition and node:
        much = too_heavy("this audience", node.at, weigh(condition, heavy))
        reading.problems.extend(much)
        if not much:
            yield condition

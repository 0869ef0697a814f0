"""The files of rules/tests/: one test each, read whole, with every problem at its place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from engine import document
from engine.document import Items, Node, Pairs, Text, suggestion
from engine.errors import Problem
from engine.questions.examples import expectations, people
from engine.questions.examples.example import Example, ExpectedMembers, ExpectedMessages
from engine.questions.examples.ground import Ground
from engine.rules import values
from engine.rules.files import TESTS, test_files
from engine.rules.syntax import Ago
from engine.rules.workspace import Workspace

KEYS: Mapping[str, str] = {
    "test": "What is shown, as a sentence: `the lapsing are found`.",
    "description": "More words on it, for whoever reads the file.",
    "now": "The moment of the test, like `1998-01-05T10:00`; without an offset by the workspace's clock.",
    "customers": "The invented customers by name: addresses, attributes, consents.",
    "events": "What they did, and when.",
    "messages": "What they were sent before.",
    "triggers": "Calls for triggered campaigns, made at the test's moment.",
    "expect": "What must come of it: `segments:` and `campaigns:`.",
}
EXPECTED: Mapping[str, str] = {
    "segments": "Who is in a segment: `lapsing: [ana]` means exactly these.",
    "campaigns": "What becomes of the messages: `win-back: {sent: [ana], withheld: {ben: opted_out}}`.",
}


UNKNOWN = datetime(9000, 1, 1, tzinfo=UTC)
"""In place of a moment that cannot be read, to find what else is wrong: nothing in a file is later."""


def read_examples(workspace: Workspace, *, whole: bool = True) -> tuple[tuple[Example, ...], tuple[Problem, ...]]:
    """Every test of a workspace that can be read, and everything that is wrong in their files.

    whole: the workspace could be read without an error, so a name that it does not have is surely wrong.
    """
    examples, problems = [], list[Problem]()
    for path in test_files(workspace.folder):
        shown = path.relative_to(workspace.folder).as_posix()
        file = document.read(path, shown_as=shown)
        problems += file.problems
        for root in file.roots:
            example, found = read_example(workspace, root, shown, whole=whole)
            problems += found
            examples += [example] if example else []
        for again in file.again:
            problems += again.news(read_example(workspace, again.root, shown, whole=whole)[1])
    return tuple(examples), tuple(problems)


def read_example(
    workspace: Workspace, node: Node, file: str, *, whole: bool = True
) -> tuple[Example | None, list[Problem]]:
    """One test. It is None where anything is wrong."""
    problems: list[Problem] = []
    if not isinstance(node, Pairs) or "test" not in node.keys():  # noqa: SIM118  (Pairs is no dict)
        return None, [_no_test(node)]
    for key, _ in node:
        if key.value not in KEYS:
            problems.append(Problem(at=key.at, what=f'unknown key "{key.value}".', remedy=suggestion(key.value, KEYS)))
    now = _now(workspace, node, problems)
    name = node.get("test")
    if not isinstance(name, Text) or name.empty:
        at = name.at if name else node.at
        problems.append(Problem(at=at, what="this test has no name.", remedy="Say in a sentence what it shows."))
    example = _example(workspace, node, file, now or UNKNOWN, problems, whole=whole)
    return (None if problems else example), problems


def _no_test(node: Node) -> Problem:
    if isinstance(node, Pairs) and {"segments", "campaign"} & set(node.keys()):
        remedy = f"Move it out of {TESTS.as_posix()}/: here are tests alone."
        return Problem(at=node.at, what="this file holds rules.", remedy=remedy)
    return Problem(at=node.at, what="a test begins with its name.", remedy="Begin the file with `test: what it shows`.")


def _now(workspace: Workspace, node: Pairs, problems: list[Problem]) -> datetime | None:
    given = node.get("now")
    if not isinstance(given, Text) or given.empty:
        remedy = "Add the moment of the test, like `now: 1998-01-05T10:00`."
        problems.append(Problem(at=given.at if given else node.at, what='"now" is missing.', remedy=remedy))
        return None
    try:
        now = values.moment(given.value, workspace.settings.time_zone)
        if not isinstance(now, Ago):
            return now
        told = "the moment of a test is a time of the calendar, so that the test means the same tomorrow"
    except ValueError as error:
        told = str(error)
    problems.append(Problem(at=given.at, what=f'"now": {told} (here: "{given.value[:60]}").'))
    return None


def _example(
    workspace: Workspace, node: Pairs, file: str, now: datetime, problems: list[Problem], *, whole: bool
) -> Example:
    given = node.get("customers")
    names = given.keys() if isinstance(given, Pairs) else ()
    ground = Ground(workspace=workspace, whole=whole, now=now, customers=names, problems=problems)
    customers = [
        people.customer(ground, key, value)
        for key, value in (ground.pairs(given, '"customers"', example="ana: {country: FI}") if given else ())
    ]
    events, messages, triggers = (_list(ground, node, name) for name in ("events", "messages", "triggers"))
    calls = [call for item in triggers if (call := people.call(ground, item))]
    segments, campaigns = _expected(ground, node, {_called(item) for item in triggers})
    return Example(
        name=name.value if isinstance(name := node.get("test"), Text) else "",
        file=file,
        at=node.at,
        now=now,
        customers=tuple(customers),
        events=tuple(event for item in events if (event := people.event(ground, item))),
        messages=tuple(before for item in messages if (before := people.earlier(ground, item))),
        triggers=tuple(calls),
        segments=segments,
        campaigns=campaigns,
    )


def _list(ground: Ground, node: Pairs, name: str) -> tuple[Node, ...]:
    given = node.get(name)
    return tuple(ground.items(given, f'"{name}"', example=f"{name}: [{{customer: ana, …}}]")) if given else ()


def _called(item: Node) -> str:
    name = item.get("campaign") if isinstance(item, Pairs) else None
    return name.value if isinstance(name, Text) else ""


def _expected(
    ground: Ground, node: Pairs, called: set[str]
) -> tuple[tuple[ExpectedMembers, ...], tuple[ExpectedMessages, ...]]:
    given = node.get("expect")
    if given is None or (isinstance(given, Text) and given.empty) or isinstance(given, Items):
        remedy = "Add `expect:` with `segments:` or `campaigns:` under it."
        ground.error(given.at if given else node.at, "this test expects nothing.", remedy)
        return (), ()
    segments: list[ExpectedMembers] = []
    campaigns: list[ExpectedMessages] = []
    for key, value in ground.pairs(given, '"expect"', example="expect: {segments: {lapsing: [ana]}}"):
        match key.value:
            case "segments":
                pairs = ground.pairs(value, '"segments"', example="lapsing: [ana]")
                segments += [said for name, who in pairs if (said := expectations.members(ground, name, who))]
            case "campaigns":
                pairs = ground.pairs(value, '"campaigns"', example="win-back: {sent: [ana]}")
                campaigns += [
                    owed for name, what in pairs if (owed := expectations.messages(ground, name, what, called))
                ]
            case _:
                ground.error(key.at, f'unknown key "{key.value}".', suggestion(key.value, EXPECTED))
    return tuple(segments), tuple(campaigns)


__all__ = ["EXPECTED", "KEYS", "read_example", "read_examples"]

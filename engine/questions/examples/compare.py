"""What a test expected against what it got: each difference with its place, and the verdict tree that says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select

from engine.errors import Position, RegularsError
from engine.questions.examples.example import Example, ExpectedFate, ExpectedMembers, ExpectedMessages, Fate
from engine.questions.examples.perform import SECRET, Got, Outcome, performed
from engine.questions.trace import Node, trace
from engine.rules.compile import audience_condition
from engine.rules.syntax import Condition
from engine.rules.workspace import Workspace
from engine.store import Database
from engine.store.scratch import Blank
from engine.store.tables import customers

NOTHING = "nothing"
KEPT_OUT = "nothing: in the audience, but `reentry` keeps this customer out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One customer who came out otherwise. `about` is the segment or campaign; `why` its rule, held against the customer."""

    at: Position
    about: str
    customer: str
    expected: str
    got: str
    why: Node | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One test, and what was otherwise than it says. `error`: it could not be performed."""

    test: str
    file: str
    now: datetime
    differences: tuple[Difference, ...] = ()
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.differences and not self.error


Why = Callable[[str, Condition | None], Node | None]


def run_tests(workspace: Workspace, examples: tuple[Example, ...]) -> Iterator[Verdict]:
    """Perform each test on a database of its own, and compare."""
    with TemporaryDirectory(prefix="regulars-test-") as folder:
        blank = Blank(Path(folder), secret=SECRET)
        for example in examples:
            yield _run(workspace, example, blank)


def _run(workspace: Workspace, example: Example, blank: Blank) -> Verdict:
    told = {"test": example.name, "file": example.file, "now": example.now}
    try:
        with performed(workspace, example, blank) as (outcome, database):
            differences = tuple(_differences(workspace, example, outcome, database))
    except RegularsError as error:
        return Verdict(**told, error=str(error))  # type: ignore[arg-type]
    return Verdict(**told, differences=differences)  # type: ignore[arg-type]


def _differences(workspace: Workspace, example: Example, outcome: Outcome, database: Database) -> Iterator[Difference]:
    def why(customer: str, condition: Condition | None) -> Node | None:
        if condition is None:
            return None
        with database.reading() as connection:
            named = select(customers.c.id).where(customers.c.external_id == customer)
            customer_id = connection.execute(named).scalar_one()
        return trace(workspace, database, condition, customer_id, now=example.now)

    names = [each.name for each in example.customers]
    for members in example.segments:
        yield from _in_segment(workspace, members, names, outcome.members[members.segment], why)
    for messages in example.campaigns:
        yield from _of_campaign(workspace, messages, names, outcome, why)


# ---------------------------------------------------------------- segments


def _in_segment(
    workspace: Workspace, expected: ExpectedMembers, names: list[str], got: frozenset[str], why: Why
) -> Iterator[Difference]:
    for name in names:
        is_in = name in got
        wanted = name in expected.includes
        said = expected.whole or wanted or name in expected.excludes
        if said and wanted is not is_in:
            yield Difference(
                at=expected.includes.get(name) or expected.excludes.get(name) or expected.at,
                about=f"segment {expected.segment}",
                customer=name,
                expected=_membership(wanted),
                got=_membership(is_in),
                why=why(name, workspace.segments[expected.segment].who),
            )


def _membership(is_in: bool) -> str:
    return "in it" if is_in else "not in it"


# ---------------------------------------------------------------- campaigns


def _of_campaign(
    workspace: Workspace, expected: ExpectedMessages, names: list[str], outcome: Outcome, why: Why
) -> Iterator[Difference]:
    found = outcome.messages.get(expected.campaign, {})
    about = f"campaign {expected.campaign}"
    if expected.public:
        got = _told(found.get(None, ()))
        if got != Fate.SENT:
            yield Difference(at=expected.at, about=about, customer="everybody", expected=Fate.SENT, got=got)
        return
    campaign = workspace.campaigns[expected.campaign]
    condition = audience_condition(workspace, campaign) if campaign.audience is not None else None
    for name in names:
        wanted, came = expected.fates.get(name), found.get(name, ())
        if _as_expected(wanted, came):
            continue
        audience = not came or wanted is None  # it is what surprises, not a gate
        tree = why(name, condition) if audience else None
        kept_out = bool(tree and tree.verdict and not came)
        yield Difference(
            at=wanted.at if wanted else expected.at,
            about=about,
            customer=name,
            expected=_wanted(wanted),
            got=KEPT_OUT if kept_out else _told(came),
            why=tree,
        )


def _as_expected(wanted: ExpectedFate | None, came: tuple[Got, ...]) -> bool:
    if wanted is None:
        return not came
    return bool(came) and all(each.fate is wanted.fate and wanted.reason in (None, each.reason) for each in came)


def _wanted(wanted: ExpectedFate | None) -> str:
    if wanted is None:
        return NOTHING
    return f"{wanted.fate}: {wanted.reason}" if wanted.reason else wanted.fate


def _told(came: tuple[Got, ...]) -> str:
    words = []
    for each in came:
        detail = f" ({each.detail})" if each.detail else ""
        words.append(f"{each.fate}: {each.reason}{detail}" if each.reason else each.fate)
    return ", ".join(words) or NOTHING

"""What the readers of a test share: the workspace's names, the test's moment, and the problems found so far."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from engine.document import Items, Node, Pairs, Position, Text, suggestion
from engine.errors import Problem
from engine.model import AttributeType
from engine.rules import values
from engine.rules.syntax import Ago, Value
from engine.rules.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """A reader that notes a problem goes on with the rest. `whole`: a name that the workspace does not have is surely wrong."""

    workspace: Workspace
    whole: bool
    now: datetime
    customers: Collection[str] = ()
    problems: list[Problem] = field(default_factory=list)

    def error(self, at: Position, what: str, remedy: str = "") -> None:
        self.problems.append(Problem(at=at, what=what, remedy=remedy))

    def unknown(self, word: Text, known: Collection[str], noun: str) -> None:
        if self.whole:
            self.error(word.at, f'there is no {noun} "{word.value}".', suggestion(word.value, known))

    def pairs(self, node: Node, noun: str, *, example: str) -> Iterator[tuple[Text, Node]]:
        """The entries of a mapping; an empty one has none."""
        match node:
            case Pairs():
                yield from node
            case Text(empty=True):
                pass
            case _:
                self.error(node.at, f"{noun} takes keys with values under it.", f"Write for example `{example}`.")

    def items(self, node: Node, noun: str, *, example: str) -> Iterator[Node]:
        """The items of a list; an empty one has none."""
        match node:
            case Items():
                yield from node.items
            case Text(empty=True):
                pass
            case _:
                self.error(node.at, f"{noun} takes a list.", f"Write for example `{example}`.")

    def word(self, node: Node | None, missing: Position, name: str) -> Text | None:
        """One plain word; `missing` is where to complain where there is none."""
        if isinstance(node, Text) and not node.empty and node.value:
            return node
        if node is None:
            self.error(missing, f'"{name}" is missing.')
        else:
            self.error(node.at, f'"{name}" takes one word.')
        return None

    def choice(self, node: Node, known: Collection[str], noun: str) -> str | None:
        """One of a fixed set of words."""
        word = self.word(node, node.at, noun)
        if word is None:
            return None
        if word.value not in known:
            self.error(word.at, f'there is no {noun} "{word.value}".', suggestion(word.value, known))
            return None
        return word.value

    def customer(self, word: Text | None) -> str | None:
        """The name of a customer that this test invents."""
        if word is None or word.value in self.customers:
            return word.value if word else None
        told = suggestion(word.value, self.customers) or "Invent this one under `customers:`."
        self.error(word.at, f'this test has no customer "{word.value}".', told)
        return None

    def moment(self, word: Text | None) -> datetime | None:
        """`200 days ago` (before the test's moment), `now`, or a time; UTC."""
        found = self.read(word, AttributeType.TIME) if word else None
        return found if isinstance(found, datetime) else None

    def read(self, word: Text, kind: AttributeType) -> Value | None:
        """A value of a type, as in the rules; `… ago` is counted from the test's moment."""
        zone = self.workspace.settings.time_zone
        try:
            value = values.READERS[kind](word.value, zone)
            if not isinstance(value, Ago):
                return value
            at = self.now - value.span
            today = self.now.astimezone(zone).date()
            return at.astimezone(UTC) if kind is AttributeType.TIME else today - value.span
        except (ValueError, OverflowError) as error:
            told = str(error)
            self.error(word.at, f'"{word.value[:60]}" cannot be read: {told}.')
            return None

"""The reference of the rule language as Markdown tables, from the tables that read, compile and explain it."""

from __future__ import annotations

from collections.abc import Iterable

from engine.model import AttributeType
from engine.rules.measures import MEASURES
from engine.rules.operators import OPERATORS, Operator
from engine.rules.read.condition import CONDITIONS
from engine.rules.rfm import BANDS, SCORES


def reference() -> str:
    """Every word, measure, operator, score and band of the language, a row each."""
    parts = (
        ("### Words", ("word", "holds when", "takes"), _words()),
        ("### Measures", ("measure", "over", "means"), _measures()),
        ("### Operators", ("operator", "for", "means"), _operators()),
        ("### RFM", ("score", "means"), ((f"`{name}`", says) for name, says in SCORES.items())),
        ("", ("band", "customers who", "recency", "frequency"), _bands()),
    )
    return "\n".join(
        f"{title}\n\n{_table(heads, rows)}" if title else _table(heads, rows) for title, heads, rows in parts
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (heads, tuple("---" for _ in heads), *rows)
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def _words() -> Iterable[tuple[str, ...]]:
    return ((f"`{word.name}`", word.says, word.holds.value) for word in CONDITIONS.values())


def _measures() -> Iterable[tuple[str, ...]]:
    for measure in MEASURES.values():
        number = measure.of == {AttributeType.NUMBER}
        over = "a number" if number else "a property" if measure.of else "the events"
        beside = f"; needs `{measure.needs}`" if measure.needs else ""
        yield f"`{measure.name}`", over, f"{measure.says}{beside}"


def _operators() -> Iterable[tuple[str, ...]]:
    rows: dict[tuple[str, str], Operator] = {(row.name, row.says): row for row in OPERATORS.values()}
    for row in rows.values():
        types = [kind.value for kind in AttributeType if kind in row.types]
        yield f"`{row.name}`", "any" if len(types) == len(AttributeType) else ", ".join(types), row.says


def _bands() -> Iterable[tuple[str, ...]]:
    for band in BANDS.values():
        yield f"`{band.name}`", band.says, _range(band.recency), _range(band.frequency)


def _range(edges: tuple[int, int]) -> str:
    return str(edges[0]) if edges[0] == edges[1] else f"{edges[0]}–{edges[1]}"

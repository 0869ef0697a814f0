"""What is asked first: the cheap conditions, whatever the order of the file."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

from engine.model import AttributeType
from engine.rules.effort import effort
from engine.rules.syntax import All, Attribute, Condition, Did, InSegment, Measured, Not, Segment, Test

TEST = (Test(operator="at_least", values=()),)
CHEAP_FIRST: tuple[Condition, ...] = (
    Attribute(name="country", type=AttributeType.TEXT, tests=TEST),
    Not(of=Did(event="purchase", within=timedelta(days=90))),
    Did(event="purchase", within=timedelta(days=90), measured=Measured(measure="times", of=None, tests=TEST)),
    Did(event="purchase", measured=Measured(measure="times", of=None, tests=TEST)),
    Did(event="purchase", measured=Measured(measure="sum", of="amount", tests=TEST)),
)


def test_cheap_before_dear() -> None:
    """The row, a look into the index, a window of it, all of it, the events: in this order, however they are written."""
    for written in permutations(CHEAP_FIRST):
        assert tuple(sorted(written, key=lambda condition: effort(condition, {}))) == CHEAP_FIRST


def test_a_group_costs_what_its_dearest_part_costs() -> None:
    """Also where the part is in another segment."""
    dear = CHEAP_FIRST[-1]
    segments = {"dear": Segment(name="dear", description="", who=All(of=(CHEAP_FIRST[0], Not(of=dear))))}
    assert effort(InSegment(segment="dear"), segments) == effort(dear, {})

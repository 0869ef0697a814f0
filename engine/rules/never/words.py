"""A condition as it stands in the rule, in one line: what a message names."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from engine.model import AttributeType, Channel
from engine.rules.explain import written, written_window
from engine.rules.measures import MEASURES
from engine.rules.never.atoms import Atom, Leaf
from engine.rules.syntax import Attribute, Consented, Did, Got, Lot, Measured, OnList, Reachable, Rfm, Test

_NUMBER = AttributeType.NUMBER


def says(atom: Atom) -> str:
    """What an atom is about: its condition, or the one test of it."""
    told = _whole(_narrowed(atom.leaf, atom.test) if atom.test else atom.leaf)
    return told if atom.holds else f"not: {{{told}}}"


def _narrowed(leaf: Leaf, test: Test) -> Leaf:
    """With this test alone."""
    match leaf:
        case Attribute() | Lot():
            return replace(leaf, tests=(test,))
        case Did() | Got() if leaf.measured:
            return replace(leaf, measured=replace(leaf.measured, tests=(test,), best=None))
    return leaf


def _whole(leaf: Leaf) -> str:
    match leaf:
        case Attribute():
            return f"{leaf.name}: {_tests(leaf.tests, leaf.type)}"
        case Lot():
            return f"lot: {{of: {leaf.of}, {_several(leaf.tests, _NUMBER)}}}"
        case Did():
            return f"did: {leaf.event}{written_window(leaf.window)}{_measured(leaf.measured)}"
        case Got():
            head = f"{leaf.word}: {leaf.campaign or 'any'}{_on(leaf.channel)}"
            return f"{head}{written_window(leaf.window)}{_measured(leaf.measured)}"
        case Rfm():
            bands = f", band: {', '.join(leaf.bands)}" if leaf.bands else ""
            scores = [f", {scored.score}: {_tests(scored.tests, _NUMBER)}" for scored in leaf.scores]
            return f"rfm: {leaf.event}{bands}{''.join(scores)}"
        case Consented():
            return f"{'agreed_to' if leaf.agreed else 'refused'}: {leaf.purpose}{_on(leaf.channel)}"
        case Reachable():
            return f"reachable_by: {leaf.channel}"
        case OnList():
            return f"on_list: {leaf.list}"
        case _:
            assert_never(leaf)


def _measured(measured: Measured | None) -> str:
    if measured is None:
        return ""
    parts = [f"of: {measured.of}"] if measured.of else []
    parts += [written(test, MEASURES[measured.measure].type) for test in measured.tests]
    parts += [f"among_best: {measured.best:f} %"] if measured.best is not None else []
    return f", {measured.measure}: {{{', '.join(parts)}}}"


def _tests(tests: tuple[Test, ...], kind: AttributeType) -> str:
    """`FI`, or `{at_least: 2, less_than: 10}`."""
    told = _several(tests, kind)
    return told.removeprefix("is: ") if len(tests) == 1 and told.startswith("is: ") else f"{{{told}}}"


def _several(tests: tuple[Test, ...], kind: AttributeType) -> str:
    return ", ".join(written(test, kind) for test in tests)


def _on(channel: Channel | None) -> str:
    return f", on: {channel}" if channel else ""

"""Every kind of blow once, with every kind of vendor: no check of the oracle objects."""

from __future__ import annotations

import pytest

from tests.faults.courier import Kind
from tests.faults.plan import Blow, Plan, Store, only
from tests.faults.trial import Ground, run

SHORT = (Blow.KILL, Blow.COMMIT, Blow.BYTE, Blow.KILL, Blow.COMMIT, Blow.BYTE)


def assert_no_objection(plan: Plan, ground: Ground) -> None:
    result = run(plan, ground)
    assert not result.objections, "\n".join(map(str, result.objections))


@pytest.mark.parametrize("kind", [Kind.BLIND, Kind.IDEMPOTENT])
def test_killed_at_moments_commits_and_bytes(ground: Ground, kind: Kind) -> None:
    """A daemon on SQLite, killed at random, at commits and at bytes: nothing lost, nothing doubled, doubt told."""
    assert_no_objection(only(Store.SQLITE, kind, 1, *SHORT), ground)

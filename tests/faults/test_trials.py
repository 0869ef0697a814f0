"""The short form: every kind of blow, every kind of vendor and both databases once. No check of the oracle objects.

The long form draws mixtures from seeds: `make faults`.
"""

from __future__ import annotations

import pytest

from tests.faults.courier import Kind
from tests.faults.plan import Blow, Plan, Store, draw, only
from tests.faults.trial import Ground, run

DEATHS = (Blow.KILL, Blow.COMMIT, Blow.BYTE, Blow.KILL, Blow.COMMIT, Blow.BYTE)


def assert_no_objection(plan: Plan, ground: Ground) -> None:
    print(f"{plan.name}: {', '.join(act.blow for act in plan.acts)}")
    result = run(plan, ground)
    assert not result.objections, "\n".join(map(str, result.objections))


@pytest.mark.parametrize("kind", Kind)
def test_killed_at_moments_commits_and_bytes(ground: Ground, kind: Kind) -> None:
    """A daemon on SQLite, killed at random, at commits and at bytes: nothing lost, nothing doubled, doubt told."""
    assert_no_objection(only(Store.SQLITE, kind, 1, *DEATHS), ground)


@pytest.mark.parametrize(
    ("kind", "dispatch"),
    [(Kind.BLIND, "threads"), (Kind.RECONCILABLE, "procrastinate"), (Kind.IDEMPOTENT, "procrastinate")],
)
def test_many_daemons_on_postgresql_killed_and_their_server_too(fragile: Ground, kind: Kind, dispatch: str) -> None:
    """Two daemons and a worker share the work while they die one after the other, and PostgreSQL dies under all of them."""
    blows = (Blow.KILL, Blow.CRASH, Blow.COMMIT, Blow.BYTE, Blow.CRASH, Blow.KILL)
    assert_no_objection(only(Store.POSTGRESQL, kind, 1, *blows, daemons=3, dispatch=dispatch), fragile)


def test_daemons_whose_clocks_disagree(ground: Ground) -> None:
    """Three processes, two of them wrong by several leases: what looks like an old lease to one is no licence to send."""
    blows = (Blow.KILL, Blow.BYTE, Blow.KILL)
    assert_no_objection(only(Store.SQLITE, Kind.RECONCILABLE, 1, *blows, daemons=3, skew=True), ground)


@pytest.mark.parametrize("kind", [Kind.BLIND, Kind.RECONCILABLE])
def test_a_sleeper_that_wakes_after_its_lease_sends_nothing(ground: Ground, kind: Kind) -> None:
    """A process stopped for longer than its lease, at any moment and right after a commit, while another one works."""
    assert_no_objection(only(Store.SQLITE, kind, 1, Blow.FREEZE, Blow.PAUSE, Blow.FREEZE), ground)


def test_a_locked_database_an_outage_a_clean_end(ground: Ground) -> None:
    """SQLite held by somebody else for longer than a lease, a vendor that refuses connections, SIGTERM under load."""
    assert_no_objection(only(Store.SQLITE, Kind.BLIND, 1, Blow.OUTAGE, Blow.TERM, Blow.LOCK, Blow.TERM), ground)


def test_a_clock_that_jumps(ground: Ground) -> None:
    """The machine's clock jumps by several leases, forward or back, and returns: early leases double nothing."""
    assert_no_objection(only(Store.SQLITE, Kind.RECONCILABLE, 1, Blow.CLOCK, Blow.KILL, Blow.CLOCK), ground)


def test_a_backup_put_back_in_the_middle_of_it(ground: Ground) -> None:
    """No daemon starts on it; let go on, what may have left after the backup is in doubt, and nothing leaves twice."""
    assert_no_objection(only(Store.SQLITE, Kind.BLIND, 1, Blow.RESTORE, Blow.KILL, customers=30), ground)


@pytest.mark.parametrize("kind", [Kind.BLIND, Kind.IDEMPOTENT])
def test_the_world_goes_on_while_daemons_die(ground: Ground, kind: Kind) -> None:
    """Reports come twice, late and before our own commit; readers leave; orders are called for until they are answered."""
    blows = (Blow.KILL, Blow.COMMIT, Blow.BYTE, Blow.KILL)
    assert_no_objection(only(Store.SQLITE, kind, 1, *blows, webhooks=True, opt_outs=5, orders=10), ground)


@pytest.mark.parametrize("store", Store)
def test_a_mixture_as_the_long_form_draws_it(fragile: Ground, store: Store) -> None:
    """One trial of the long form on each database."""
    assert_no_objection(draw(store, Kind.RECONCILABLE, 1), fragile)

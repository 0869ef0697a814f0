"""Many trials at once, each named by its database, its vendor's kind and its seed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

from tests.faults.courier import Kind
from tests.faults.fleet import Launcher
from tests.faults.naive import Policy
from tests.faults.plan import Blow, Plan, Store, draw, only
from tests.faults.shop import ENVIRONMENT
from tests.faults.trial import Ground, Result, prepared, run

Names = Any
"""A queue of trials' names between processes; None ends a worker."""


BASELINES: Mapping[str, Policy] = {"checkpoint": Policy.CHECKPOINT_FIRST, "again": Policy.SEND_AGAIN}
"""The naive policies under their short names; they are measured, and not expected to hold."""
BASELINE_KILLS = 8


def plan_of(name: str) -> Plan:
    """The plan of a trial by its name, like `sqlite-blind-17`, or of a baseline, like `sqlite-again-3`."""
    store, kind, seed = name.split("-")
    if kind in BASELINES:
        blows = [Blow.KILL] * BASELINE_KILLS
        return only(Store(store), Kind.BLIND, int(seed), *blows, policy=BASELINES[kind])
    return draw(Store(store), Kind(kind), int(seed))


@contextmanager
def ground(*, server: bool) -> Iterator[Ground]:
    """A launcher, and where it is wanted a PostgreSQL server."""
    with Launcher() as launcher, prepared(launcher, server=server) as mine:
        yield mine


def worker(names: Names, results: Names, server: bool, until: float) -> None:
    """Run trials by name until there are no more; those that would begin later than `until` are left. A trial that cannot be
    judged is a failure too.
    """
    os.environ.update(ENVIRONMENT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that every `with` ends
    with ground(server=server) as mine:
        for name in iter(names.get, None):
            if time.time() > until:
                results.put({"name": name, "left": True})
                continue
            try:
                results.put({**shown(run(plan_of(name), mine)), "name": name})
            except Exception:
                results.put({"name": name, "broken": traceback.format_exc().strip()})


def shown(result: Result) -> dict[str, Any]:
    """A result as one line of JSON."""
    told = [str(verdict) for verdict in result.objections]
    plain = {**asdict(result), "verdicts": len(result.verdicts), "folder": str(result.folder)}
    return {**plain, "baseline": result.baseline, "objections": told}


def held(out: Path) -> frozenset[str]:
    """The trials that came to their end, by the lines of the file."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    return frozenset(line["name"] for line in map(json.loads, lines) if "broken" not in line)


def run_all(
    names: Sequence[str], workers: int, out: Path, *, resume: bool = False, until: float = inf
) -> tuple[int, int]:
    """Run them all, a line a trial into `out`, after those that are there where it is resumed; none begins after `until`.
    Returns how many ran, and how many of these failed.
    """
    context = multiprocessing.get_context("spawn")
    queue, results = context.Queue(), context.Queue()
    server = any(name.startswith(Store.POSTGRESQL) for name in names)
    crew = [context.Process(target=worker, args=(queue, results, server, until), daemon=True) for _ in range(workers)]
    for name in [*names, *[None] * workers]:
        queue.put(name)
    for process in crew:
        process.start()
    ran = failed = 0
    with out.open("a" if resume else "w", encoding="utf-8") as lines:
        for number in range(1, len(names) + 1):
            result = results.get()
            if result.get("left"):
                continue
            ran += 1
            lines.write(json.dumps(result) + "\n")
            lines.flush()
            wrong = [result["broken"].splitlines()[-1]] if "broken" in result else result["objections"]
            expected = bool(result.get("baseline"))
            failed += bool(wrong) and not expected
            word = "held" if not wrong else "failed as it must" if expected else "FAILED"
            print(f"{number}/{len(names)} {result['name']} {word}", flush=True)
            for objection in wrong if not expected else ():
                print(f"  {objection}\n  again: python -m tests.faults --only {result['name']}", flush=True)
    for process in crew:
        process.join()
    return ran, failed

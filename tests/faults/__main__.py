"""The long form: many seeds on both databases with each kind of vendor; what fails can be run again by its name.

python -m tests.faults --seeds 100                 # what `make faults` does: about an hour on two cores
python -m tests.faults --only postgresql-blind-17  # one trial again, its folder kept
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from math import inf
from pathlib import Path

from tests.faults.courier import Kind
from tests.faults.matrix import BASELINES, ground, held, plan_of, run_all, shown
from tests.faults.plan import Store
from tests.faults.shop import ENVIRONMENT
from tests.faults.trial import run


def run_one(name: str) -> int:
    """Run one trial, tell everything, and keep its folder."""
    os.environ.update(ENVIRONMENT)
    plan = plan_of(name)
    print(f"{name}: {', '.join(act.blow for act in plan.acts)}; daemons {plan.daemons}, webhooks {plan.webhooks}")
    with ground(server=plan.store is Store.POSTGRESQL) as mine:
        result = run(plan, mine, keep=True)
    for verdict in result.verdicts:
        print(verdict)
    print(json.dumps({key: value for key, value in shown(result).items() if key != "objections"}))
    return len(result.objections)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=100, help="how many for each database and kind of vendor")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--stores", nargs="+", type=Store, default=list(Store))
    parser.add_argument("--kinds", nargs="+", type=Kind, default=list(Kind))
    parser.add_argument("--baselines", type=int, default=10, help="how many seeds for each naive policy, on SQLite")
    parser.add_argument("--workers", type=int, default=6, help="trials at once; each mostly waits")
    parser.add_argument("--only", metavar="NAME", help="run this one trial, and keep its folder")
    parser.add_argument("--minutes", type=float, default=inf, help="begin no trial after so long")
    parser.add_argument("--resume", action="store_true", help="go on: only what has no line in the file yet")
    parser.add_argument("--out", type=Path, default=Path("faults.jsonl"), help="a line for each trial")
    asked = parser.parse_args()
    if asked.only:
        return run_one(asked.only)
    seeds = range(asked.first, asked.first + asked.seeds)
    names = [f"{store}-{kind}-{seed}" for seed in seeds for store in asked.stores for kind in asked.kinds]
    names += [f"sqlite-{short}-{seed}" for short in BASELINES for seed in range(1, asked.baselines + 1)]
    if asked.resume:
        done = held(asked.out)
        names = [name for name in names if name not in done]
    print(f"seeds {seeds.start} to {seeds.stop - 1}, {len(names)} trials, {asked.workers} at once", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began, until = time.monotonic(), time.time() + asked.minutes * 60
    ran, failed = run_all(names, asked.workers, asked.out, resume=asked.resume, until=until)
    print(f"{ran - failed} held, {failed} failed, {len(names) - ran} left, {time.monotonic() - began:.0f} s")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())

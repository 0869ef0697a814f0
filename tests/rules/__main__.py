"""The long form: thousands of random rules, each on SQLite, on PostgreSQL and read in plain Python, over one shop after another.

python -m tests.rules --rules 20000              # what `make rules` does: about an hour
python -m tests.rules --rules 10000 --first 21   # other shops and other rules
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from engine.rules.syntax import Condition
from engine.store import Database, open_database
from tests import memory
from tests.postgres import Server
from tests.rules import shop
from tests.rules.agreeing import AT_ONCE, Asked, answers, questions, refused, together

SECRET = "a secret for tests, long enough"
A_SHOP = 500
"""So many rules are asked of one shop's customers."""
PEOPLE = 150
WAYS: Mapping[str, Callable[[Database, Asked, Sequence[Condition]], list[set[str]]]] = {
    "one by one": answers,
    "everybody": partial(answers, everybody=True),
    "rules together": together,
}
"""Every way in which the product asks."""


@contextmanager
def databases(server: Server, folder: Path, everybody: list[shop.Person], number: int) -> Iterator[list[Database]]:
    """One shop's customers, on both."""
    name, url = server.copy("template_regulars")
    opened = [open_database(f"sqlite:///{folder}/{number}.db", secret=SECRET), open_database(url, secret=SECRET)]
    rows = []
    for database in opened:
        shop.load(database, everybody)
        rows.append([one.row for one in everybody])
        with database.writing() as connection:
            connection.exec_driver_sql("ANALYZE")
    assert rows[0] == rows[1]  # lots are drawn by the row
    yield opened
    for database in opened:
        database.close()
    server.drop(name)


def agree(opened: list[Database], people: list[shop.Person], number: int, count: int) -> Counter[str]:
    """Ask so many rules of one shop. Raises AssertionError, with the smallest rule that shows it, where two answers differ."""
    told = Counter[str]()

    how = settings(
        deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate, Phase.shrink]
    )

    @seed(number)
    @settings(how, max_examples=-(-count // AT_ONCE))
    @given(asked=questions())
    def ask(asked: Asked) -> None:
        conditions, expected = asked.read(), asked.plainly(people)
        for database, (way, answer) in product(opened, WAYS.items()):
            for rule, found, plain in zip(asked.several, answer(database, asked, conditions), expected, strict=True):
                differing = sorted(found ^ plain)[:5]
                assert not differing, (database.dialect, way, asked.now, asked.zone, rule, differing)
        told.update(rules=len(expected), chose_somebody=sum(bool(one) for one in expected))
        told.update(chose_all=sum(len(one) == len(people) for one in expected))
        told.update(told_by_check=refused(opened[0], asked, conditions))

    ask()
    return told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rules", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rules", type=int, default=20_000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first shop's number, and seed")
    wanted = parser.parse_args()
    os.environ.setdefault("REGULARS_SECRET", SECRET)
    began, whole, number = time.monotonic(), Counter[str](), wanted.first
    with Server() as server, tempfile.TemporaryDirectory(dir=memory.root()) as folder:
        open_database(server.create("template_regulars"), secret=SECRET).close()
        while whole["rules"] < wanted.rules:
            everybody = shop.people(PEOPLE, seed=number)
            with databases(server, Path(folder), everybody, number) as opened:
                whole += agree(opened, everybody, number, min(A_SHOP, wanted.rules - whole["rules"]))
            print(json.dumps({"shops": number, **whole, "seconds": round(time.monotonic() - began)}), flush=True)
            number += 1
    print(f"{whole['rules']:,} rules: SQLite, PostgreSQL and the plain reading agree on each.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

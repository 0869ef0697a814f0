"""The page of promises names tests that exist, and every check of the oracle has a promise behind it."""

from __future__ import annotations

import ast
import re

from tests.faults.fleet import ROOT

PAGE = ROOT / "docs" / "guarantees.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_that_is_named_exists() -> None:
    """A promise whose test was renamed or removed is no promise."""
    named = NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 25
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not name or name in defined, f"{path} has no {name}"


def test_every_promise_has_a_test() -> None:
    """Each row of the table names at least one."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    assert all(NAMED.search(row) for row in rows[1:])

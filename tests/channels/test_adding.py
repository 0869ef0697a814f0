"""docs/adding-a-provider.md: the provider on the page passes the contract on the page."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-provider.md"


def example() -> ModuleType:
    """The page's Python, as one module."""
    module = ModuleType("pigeon")
    sys.modules["pigeon"] = module
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), module.__dict__)
    return module


PIGEON = example()
TESTS = [name for name in dir(PIGEON.TestPigeon) if name.startswith("test_")]


@pytest.mark.parametrize("test", TESTS)
def test_the_pages_example_passes(test: str) -> None:
    """What a newcomer copies is sound."""
    contract: Any = PIGEON.TestPigeon()
    contract.setup_method()
    try:
        with PIGEON.PigeonVendor() as contract.vendor:
            getattr(contract, test)()
    finally:
        contract.teardown_method()


def test_the_page_says_how_many_tests_there_are() -> None:
    """Some thirty."""
    assert 25 <= len(TESTS) <= 40

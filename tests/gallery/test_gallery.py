"""The gallery of errors: the page says what `check` says today, and each entry helps."""

from __future__ import annotations

import pytest

from docs import make_errors as maker
from engine.errors import Severity


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_SECRET", "for the gallery")


def test_the_page_is_as_new() -> None:
    """docs/errors.md holds the messages of today. Where it does not: python docs/make_errors.py."""
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page()


def test_every_file_is_refused_at_its_place() -> None:
    """At least fifty files: each gives an error, in that very file, at a line of it, and says what to write instead."""
    cases = tuple(maker.cases())
    assert len(cases) >= 50
    assert len({case.title for case in cases}) == len(cases)
    for case in cases:
        problems = maker.problems_of(case)
        assert any(problem.severity is Severity.ERROR for problem in problems), case.title
        for problem in problems:
            assert problem.at.file == case.file, case.title
            assert 1 <= problem.at.line <= len(case.text.splitlines()), case.title


def test_every_message_is_for_people() -> None:
    """A sentence each, and no word of what Python, pydantic or the parsers call things."""
    for case in maker.cases():
        for problem in maker.problems_of(case):
            assert problem.what.endswith((".", ")")), problem
            words = f"{problem.what} {problem.remedy}".lower()
            for foreign in ("traceback", "pydantic", "scalar", "mapping", "token", "none type", "str type", "expected"):
                assert foreign not in words.replace("not expected here", ""), problem


def test_the_workspace_around_the_files_is_sound() -> None:
    """So that what is printed comes from the broken file alone."""
    assert maker.check(maker.GALLERY / "workspace") == []

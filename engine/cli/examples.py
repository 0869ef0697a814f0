"""`regulars test`: the marketer's own tests of the rules, from rules/tests/."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from engine.cli.app import HERE, AsJson, Where, log_to_stderr, notes, screen, show_json, show_problems
from engine.cli.tree import tree
from engine.document import suggestion
from engine.errors import UnknownName
from engine.questions.examples.compare import Verdict, run_tests
from engine.questions.examples.read import read_examples
from engine.rules.files import test_files
from engine.rules.workspace import load_workspace
from engine.settings import load_environment


def register(app: typer.Typer) -> None:
    app.command()(test)


def test(
    only: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Only these files of rules/tests/, by name.")
    ] = None,
    folder: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """The workspace's own tests, rules/tests/*.yaml: invented customers, and who must get what. Nothing is sent."""
    load_environment(folder)
    log_to_stderr(logging.ERROR)
    workspace = load_workspace(folder)
    examples, problems = read_examples(workspace)
    if only:
        files = _chosen([path.relative_to(folder).as_posix() for path in test_files(folder)], only)
        examples = tuple(example for example in examples if example.file in files)
        problems = tuple(problem for problem in problems if problem.at.file in files)
    verdicts = [_shown(verdict, as_json=as_json) for verdict in run_tests(workspace, examples)]
    failed = sum(not verdict.passed for verdict in verdicts)
    if as_json:
        passed = len(verdicts) - failed
        show_json(
            {"passed": passed, "failed": failed, "problems": problems, "tests": [_told(each) for each in verdicts]}
        )
    else:
        show_problems(problems, folder)
        notes.print(_summary(len(verdicts), failed, len(problems)), highlight=False)
    raise typer.Exit(1 if failed or problems else 0)


def _chosen(files: Sequence[str], only: Sequence[str]) -> set[str]:
    """By file name, with or without suffix and folders; all of a name, in whichever folders they are."""
    chosen = set[str]()
    for word in only:
        found = {file for file in files if _named(_parts(word), _parts(file))}
        if not found:
            names = {_parts(file)[-1] for file in files}
            raise UnknownName(f'there is no test "{word}" in rules/tests/', remedy=suggestion(_parts(word)[-1], names))
        chosen |= found
    return chosen


def _parts(path: str) -> tuple[str, ...]:
    """Its folders and its name, without the suffix."""
    return PurePosixPath(path.replace("\\", "/").removesuffix(".yaml").removesuffix(".yml")).parts or ("",)


def _named(word: Sequence[str], file: Sequence[str]) -> bool:
    """Whether both end alike: the word may leave folders out, or have those above the workspace."""
    shorter = min(len(word), len(file))
    return word[-shorter:] == file[-shorter:]


def _shown(verdict: Verdict, *, as_json: bool) -> Verdict:
    """Show one as soon as it is known."""
    if not as_json:
        _page(screen, verdict)
    return verdict


def _page(page: Console, verdict: Verdict) -> None:
    mark = "[green]✓[/green]" if verdict.passed else "[red]✗[/red]"
    page.print(f"{mark} {escape(verdict.test)}  [dim]{escape(verdict.file)}[/dim]", highlight=False, soft_wrap=True)
    if verdict.error:
        page.print(Padding(escape(verdict.error), (0, 0, 0, 4)), highlight=False)
    for each in verdict.differences:
        head = f"[bold]{escape(each.customer)}[/bold] and the {escape(each.about)}  [dim]{escape(str(each.at))}[/dim]"
        page.print(Padding(head, (0, 0, 0, 4)), highlight=False)
        for word, value in (("expected", each.expected), ("got", each.got)):
            page.print(Padding(f"[dim]{word:<8}[/dim]  {escape(value)}", (0, 0, 0, 6)), highlight=False)
        if each.why:
            page.print(Padding(tree(each.why), (0, 0, 0, 6)), highlight=False)


def _told(verdict: Verdict) -> dict[str, object]:
    names = ("test", "file", "now", "passed", "error", "differences")
    return {name: getattr(verdict, name) for name in names}


def _summary(count: int, failed: int, broken: int) -> str:
    if not count and not broken:
        return "There are no tests yet: docs/testing-rules.md shows how to write one into rules/tests/."
    words = [f"{count - failed} passed"]
    words += [f"[red]{failed} failed[/red]"] if failed else []
    words += (
        [f"[red]{f'{broken} errors in their files' if broken > 1 else '1 error in its file'}[/red]"] if broken else []
    )
    return ", ".join(words) + "."

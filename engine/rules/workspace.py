"""A workspace: config.yaml, rules/ and templates/ in one folder, read whole, with every error of every file at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from engine.document import Node, Pairs
from engine.errors import Problem, Severity, WorkspaceError
from engine.rules.campaign import Campaign
from engine.rules.config import NAME, Config, read_config
from engine.rules.files import Found, find
from engine.rules.syntax import Condition, Segment
from engine.settings import Settings

FOLDERS = ("rules", "templates")
UNCOMMITTED = ", with uncommitted changes"


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Everything a workspace says, checked. `lists`: customers' ids, by their file's name. `fingerprint` changes with any of its files.
    `audiences`: the conditions of the campaigns that have one of their own, by the campaign's name.

    `commit` is the git commit it was read at; None where it is not under git. `changed`: its files are not as that commit has them.
    """

    folder: Path
    settings: Settings
    segments: Mapping[str, Segment]
    campaigns: Mapping[str, Campaign]
    fingerprint: str
    commit: str | None
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    changed: bool = False
    audiences: Mapping[str, Condition] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def version(self) -> str | None:
        """The commit, as a run and a plan note it: with a word on what was changed since."""
        return f"{self.commit}{UNCOMMITTED}" if self.commit and self.changed else self.commit


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A workspace as it stands, with what is wrong in it. `config` and `drafts` (one a campaign) give things their places.

    wrong: the mappings of campaigns that could not be read for their mistakes.
    `whole`: config.yaml could be read whole, so a name that it does not declare is surely wrong.
    """

    workspace: Workspace
    whole: bool
    config: Node
    drafts: Mapping[str, Pairs]
    wrong: tuple[Pairs, ...]
    problems: tuple[Problem, ...]


def load_workspace(folder: Path) -> Workspace:
    """Read a workspace. Raises WorkspaceError with every error of every file, at its place."""
    found = survey(folder)
    errors = [problem for problem in found.problems if problem.severity is Severity.ERROR]
    if errors:
        raise WorkspaceError(errors, folder=folder)
    return found.workspace


def survey(folder: Path) -> Survey:
    """Read a workspace as far as it can be read. Raises nothing."""
    mark = fingerprint(folder)  # first: what changes while it is read is then seen as a change afterwards
    config = read_config(folder)
    rules = find(folder, config)
    workspace = Workspace(
        folder=folder,
        settings=config.settings,
        segments=MappingProxyType(rules.segments),
        campaigns=MappingProxyType(rules.campaigns),
        fingerprint=mark,
        commit=commit(folder),
        lists=MappingProxyType(rules.lists),
        audiences=MappingProxyType(rules.audiences),
        changed=bool(_git(folder, "--no-optional-locks", "status", "--porcelain", "--", NAME, *FOLDERS)),
    )
    return Survey(
        workspace=workspace,
        whole=not config.broken,
        config=config.node,
        drafts=rules.drafts,
        wrong=tuple(rules.wrong),
        problems=_in_order(config, rules),
    )


def _in_order(config: Config, rules: Found) -> tuple[Problem, ...]:
    """Each problem once: config.yaml's first, then file by file, from top to bottom."""
    problems = dict.fromkeys((*config.problems, *rules.problems))
    return tuple(
        sorted(
            problems,
            key=lambda found: (not found.at.file.endswith(NAME), found.at.file, found.at.line, found.at.column),
        )
    )


def fingerprint(folder: Path) -> str:
    """A hash over config.yaml and every file of rules/ and templates/: it changes when any of them does."""
    digest = hashlib.blake2b(digest_size=16)
    files = [folder / NAME, *(path for name in FOLDERS for path in sorted((folder / name).rglob("*")))]
    for path in files:
        try:
            content = path.read_bytes()
        except OSError:  # a folder, or gone since it was listed
            continue
        name = path.relative_to(folder).as_posix().encode()
        digest.update(b"%d %s %d " % (len(name), name, len(content)))
        digest.update(content)
    return digest.hexdigest()


def commit(folder: Path) -> str | None:
    """The git commit that the folder is checked out at; None where it is not under git, or git is not installed."""
    return _git(folder, "rev-parse", "--verify", "HEAD") or None


def _git(folder: Path, *words: str) -> str:
    """What git says; nothing where it fails, or is not installed."""
    git = shutil.which("git")
    if git is None:
        return ""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = [git, "-C", str(folder), *words]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, env=environment, check=False)  # noqa: S603
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""

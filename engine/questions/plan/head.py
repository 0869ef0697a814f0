"""The workspace as git HEAD has it, put into a temporary folder and read there."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import RegularsError
from engine.rules.config import NAME
from engine.rules.workspace import FOLDERS, Workspace, fingerprint, load_workspace

PATIENCE_SECONDS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What git HEAD says. `workspace` is None where it says nothing else than the files do, or cannot be read (`problem`)."""

    commit: str
    workspace: Workspace | None = None
    problem: str = ""


@contextmanager
def at_head(workspace: Workspace) -> Iterator[Head | None]:
    """The version in git HEAD, for as long as the block runs; None where the workspace is not under git."""
    with tempfile.TemporaryDirectory(prefix="regulars-head-") as folder:
        yield _read(workspace, Path(folder))


def _read(workspace: Workspace, folder: Path) -> Head | None:
    if workspace.commit is None or not _taken_out(workspace.folder, workspace.commit, folder):
        return None
    if fingerprint(folder) == workspace.fingerprint:
        return Head(commit=workspace.commit)
    try:
        return Head(commit=workspace.commit, workspace=load_workspace(folder))
    except RegularsError as error:
        return Head(commit=workspace.commit, problem=str(error).splitlines()[0])


def _taken_out(folder: Path, commit: str, into: Path) -> bool:
    """Put config.yaml, rules/ and templates/ of a commit into a folder. False where the commit has no config.yaml here."""
    listed = _git(folder, "ls-tree", "--name-only", commit).decode(errors="replace").split("\n")
    there = [name for name in (NAME, *FOLDERS) if name in listed]
    if NAME not in there:
        return False
    packed = _git(folder, "archive", "--format=zip", commit, "--", *there)
    if not packed:
        return False
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(into)  # writes nothing outside of the folder
    return True


def _git(folder: Path, *words: str) -> bytes:
    """What git says; nothing where it fails."""
    git = shutil.which("git")
    if git is None:
        return b""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(  # noqa: S603
            [git, "-C", str(folder), *words],
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            env=environment,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return b""

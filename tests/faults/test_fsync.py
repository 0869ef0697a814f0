"""`regulars run` as it is installed, killed by the kernel at the N-th time that it puts something on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.courier import Kind
from tests.faults.fleet import ROOT
from tests.faults.plan import Store, only
from tests.faults.shop import ENVIRONMENT, plugin
from tests.faults.trial import IN_FLIGHT, Ground, Trial

NTH = (1, 4, 9, 23, 60)


def traced(nth: int, folder: Path) -> subprocess.Popen[bytes]:
    """The command under strace, which kills it instead of its N-th fdatasync (SQLite's way to put a commit on disk)."""
    path = os.pathsep.join((str(ROOT), str(plugin(folder / "plugin"))))
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
    inject = ["-e", f"inject=fdatasync:signal=KILL:when={nth}"]
    command = [sys.executable, "-m", "engine.cli", "run", "-w", str(folder)]
    with (folder / "daemon.log").open("ab") as log:
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": path}
        return subprocess.Popen([*strace, *inject, *command], stderr=log, env=environment, cwd=ROOT)


def test_killed_at_the_nth_fsync(ground: Ground, tmp_path: Path) -> None:
    """Whatever was being put on disk: nothing is lost, nothing doubled, and the file is whole."""
    if shutil.which("strace") is None or subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode:
        pytest.skip("strace is not installed, or may not trace")
    trial = Trial(only(Store.SQLITE, Kind.BLIND, 1), ground, tmp_path)
    with trial.begun():
        trial.places[0].kill()
        for nth in NTH:
            process = traced(nth, tmp_path)
            try:
                assert process.wait(60) != 0
            finally:
                process.kill()
            trial.shaken += IN_FLIGHT
        with trial.database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        result = trial.ended()
    assert not result.objections, "\n".join(map(str, result.objections))

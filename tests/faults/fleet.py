"""The supervisor: starts daemons, kills, pauses and continues them, and knows how each ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.faults.shop import ENVIRONMENT, forget, plugin

ROOT = Path(__file__).parents[2]


class Launcher:
    """A process that makes daemons, see `launcher`; one serves any number of trials, one after the other."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="regulars-faults-"))
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        path = os.pathsep.join((str(ROOT), str(plugin(self._folder))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.launcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)
        forget(self._folder)

    def ask(self, **question: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


@dataclass(kw_only=True)
class Process:
    """One daemon. `status` is how it ended, None while nobody has seen it end."""

    pid: int
    launcher: Launcher
    status: int | None = None

    def alive(self) -> bool:
        if self.status is None:
            self.status = self.launcher.ask(ended=self.pid)
        return self.status is None

    def send(self, number: signal.Signals) -> None:
        if self.alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self, patience: float = 30.0) -> int:
        """SIGTERM, as an operator ends it; its exit status."""
        self.send(signal.SIGTERM)
        return self.wait(patience)

    def wait(self, patience: float = 30.0) -> int:
        until = time.monotonic() + patience
        while self.alive():
            if time.monotonic() > until:
                raise TimeoutError(f"the daemon did not end within {patience} s")
            time.sleep(0.005)
        assert self.status is not None
        return self.status

    def stands_still(self) -> bool:
        """Whether it was stopped (by itself, at a crash point, or by us)."""
        try:
            return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    def has_port(self, port: int) -> bool:
        """Whether the connection from this local port is its own."""
        try:
            mine = psutil.Process(self.pid).net_connections(kind="tcp")
        except psutil.Error:
            return False
        return any(connection.laddr and connection.laddr.port == port for connection in mine)


AS_SHIPPED = {"policy": None, "relaxed": False, "forgetful": False}
"""What may be changed in a daemon, see `launcher`; here nothing is."""


class Fleet:
    """Every daemon of a trial. At the end of the block none of them is left."""

    def __init__(self, launcher: Launcher, folder: Path) -> None:
        self.launcher, self.folder, self.daemons = launcher, folder, list[Process]()
        self.log, self.clock = folder / "daemon.log", folder / "clock"
        self.clock.write_text("0", encoding="ascii")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.daemons:
            process.kill()

    def start(self, *, door: int | None = None, clock: Path | None = None, **changes: Any) -> Process:
        """One more daemon. `door`: the port of its HTTP door; `changes`: see `launcher`."""
        where = {"folder": str(self.folder), "log": str(self.log), "clock": str(clock or self.clock), "door": door}
        pid = self.launcher.ask(start={**where, "environment": dict(ENVIRONMENT), **AS_SHIPPED, **changes})
        process = Process(pid=pid, launcher=self.launcher)
        self.daemons.append(process)
        return process

    def living(self) -> list[Process]:
        return [process for process in self.daemons if process.alive()]

    def kill_caller(self, port: int) -> None:
        """SIGKILL for the daemon that has the connection from this port."""
        living = self.living()
        for process in living:
            if len(living) == 1 or process.has_port(port):
                process.kill()
                return

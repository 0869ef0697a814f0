"""A throw-away PostgreSQL server from the system's binaries."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg

from tests import memory


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server of its own in a folder of its own, gone when the block ends."""

    def __init__(self) -> None:
        self.folder, self.counter, self.port = (
            Path(tempfile.mkdtemp(prefix="regulars-postgres-", dir=memory.root())),
            itertools.count(),
            0,
        )

    @staticmethod
    def binaries() -> Path | None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
        if found:
            return found[-1].parent
        on_path = shutil.which("initdb")
        return Path(on_path).resolve().parent if on_path else None

    def _run(self, program: str, *arguments: str) -> None:
        binaries = self.binaries()
        assert binaries is not None
        command = [str(binaries / program), *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            for parent in (self.folder, *self.folder.parents):
                if parent.stat().st_uid == 0 and parent != Path("/"):
                    parent.chmod(parent.stat().st_mode | 0o011)
            shutil.chown(self.folder, "postgres", "postgres")
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "regulars", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        for last in (False, False, True):  # another test run may take the port between our look and our start
            self.port = _free_port()
            options = (
                f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300"
            )
            try:
                self._run("pg_ctl", "-D", data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")
            except subprocess.CalledProcessError:
                if last:
                    raise
            else:
                break
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def crash(self) -> None:
        """Die at once, as in a power cut, and come up again at the same port from what is on disk."""
        log = str(self.folder / "log")  # else the server would keep our end of its output open
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-m", "immediate", "restart")

    @contextmanager
    def down(self) -> Iterator[Path]:
        """Stopped cleanly for the length of the block; gives its data."""
        data, log = self.folder / "data", str(self.folder / "log")
        options = (data / "postmaster.opts").read_text(encoding="utf-8").split(" ", 3)[-1]
        self._run("pg_ctl", "-D", str(data), "-w", "-m", "fast", "stop")
        yield data
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "postgres:postgres", str(data)], check=True)
        self._run("pg_ctl", "-D", str(data), "-w", "-l", log, "-o", options.strip(), "start")

    @contextmanager
    def set(self, setting: str, value: str) -> Iterator[None]:
        """The whole server runs with this setting for the length of the block."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            [former] = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone() or [""]
        self._sql(f"ALTER SYSTEM SET {setting} = {value}")
        self._reload(setting, value)
        try:
            yield
        finally:
            self._sql(f"ALTER SYSTEM RESET {setting}")
            self._reload(setting, former)

    def _reload(self, setting: str, value: str) -> None:
        self._sql("SELECT pg_reload_conf()")
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            while connection.execute("SELECT current_setting(%s)", (setting,)).fetchone() != (value,):
                time.sleep(0.01)

    def wait_until_promoted(self) -> None:
        """A recovery is over."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                time.sleep(0.02)

    def url(self, name: str) -> str:
        return f"postgresql://regulars@127.0.0.1:{self.port}/{name}"

    def _sql(self, statement: str) -> None:
        writable = "-c default_transaction_read_only=off"
        with psycopg.connect(self.url("postgres"), autocommit=True, options=writable) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def create(self, name: str) -> str:
        self._sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def copy(self, template: str) -> tuple[str, str]:
        name = f"test_{next(self.counter)}"
        self._sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name, self.url(name)

    def rename(self, name: str, to: str) -> None:
        self._sql(f'ALTER DATABASE "{name}" RENAME TO "{to}"')

    def drop(self, name: str) -> None:
        self._sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

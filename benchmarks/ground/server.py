"""A PostgreSQL server of its own, whose data stay in a folder from one run to the next."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

OPTIONS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c shared_buffers=1GB -c max_wal_size=8GB"
"""The defaults, but for the memory that any real server is given."""


def binaries() -> Path | None:
    """The newest server that is installed; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


@contextmanager
def running(folder: Path, *, options: str = "") -> Iterator[str]:
    """The URL of the database `shop` in a server that runs on `folder` for the length of the block; made where it is not there.

    `options`: more of the server's own, like `-c name=value`.
    """
    data = folder / "postgresql"
    fresh = not (data / "PG_VERSION").exists()
    data.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(data, "postgres", "postgres")
    if fresh:
        _run("initdb", "-D", str(data), "-U", "regulars", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    _run("pg_ctl", "-D", str(data), "-w", "-l", str(data / "log"), "-o", f"-p {port} {OPTIONS} {options}", "start")
    try:
        if fresh:
            with psycopg.connect(f"postgresql://regulars@127.0.0.1:{port}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE shop")
        yield f"postgresql://regulars@127.0.0.1:{port}/shop"
    finally:
        _run("pg_ctl", "-D", str(data), "-m", "fast", "stop")


def fresh(url: str) -> str:
    """Another, empty database on the same server; the last one of them is gone."""
    root = f"{url.rpartition('/')[0]}/postgres"
    with psycopg.connect(root, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
        connection.execute("CREATE DATABASE fresh")
    return f"{url.rpartition('/')[0]}/fresh"


def _run(program: str, *arguments: str) -> None:
    folder = binaries()
    assert folder is not None
    command = [str(folder / program), *arguments]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
    subprocess.run(command, check=True, capture_output=True, cwd="/")

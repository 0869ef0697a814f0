"""The machine that a benchmark ran on, and the memory that it took."""

from __future__ import annotations

import json
import os
import platform
import resource
import sqlite3
import sys
from pathlib import Path


def machine() -> dict[str, object]:
    """The first line of every benchmark: numbers mean little without it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "machine": platform.platform(),
        "cpu": models[0] if models else platform.processor(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def peak_megabytes() -> float:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says includes the parent's, from before exec
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def say(**facts: object) -> None:
    """One JSON line."""
    print(json.dumps(facts), flush=True)

"""A disk that is full at any moment: no durable intent, no send; and it goes on by itself when there is room again."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.courier import Kind
from tests.faults.plan import Store, only
from tests.faults.trial import IN_FLIGHT, Ground, Trial

SIZE = 24_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(ballast: Path) -> None:
    """Take all the room that is left."""
    with ballast.open("wb", buffering=0) as file:
        for chunk in (1_000_000, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * chunk)
            except OSError:
                continue


def test_a_full_disk_stops_the_sending_and_loses_nothing(ground: Ground, small_disk: Path, tmp_path: Path) -> None:
    """Three times the disk fills up in the middle of a campaign. What left has its intent on disk; afterwards all is sent."""
    plan = only(Store.SQLITE, Kind.BLIND, 1, orders=10)
    trial = Trial(plan, ground, tmp_path, disk=small_disk)
    with trial.begun():
        for requests in (20, 70, 120):
            trial.until(lambda requests=requests: trial.vendor.requests >= requests, idle=5.0)  # type: ignore[misc]
            fill(small_disk / "ballast")
            trial.shaken += IN_FLIGHT
            time.sleep(2.5)
            (small_disk / "ballast").unlink()
        result = trial.ended()
    assert not result.objections, "\n".join(map(str, result.objections))

"""Make docs/demo.png from a finished demo's workspace: `python docs/make_picture.py FOLDER` (needs Chromium)."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from engine.cli.app import opened
from engine.cli.pages import audience_page, report_page
from engine.cli.plan import plan_page
from engine.measure.report import report
from engine.questions.audience import audience
from engine.questions.plan import plan

WIDTH = 100
MONDAY = datetime(1998, 7, 6, 8, 0, tzinfo=UTC)


def main(folder: Path) -> None:
    screen = Console(record=True, width=WIDTH, force_terminal=True, file=io.StringIO())
    with opened(folder) as (workspace, database):
        screen.print("[bold green]$[/bold green] regulars audience lapsing", highlight=False)
        audience_page(screen, audience(workspace, database, "lapsing", now=MONDAY), sql=False)
        screen.print("\n[bold green]$[/bold green] regulars plan", highlight=False)
        plan_page(screen, plan(workspace, database, now=MONDAY))
        screen.print("\n[bold green]$[/bold green] regulars report", highlight=False)
        settings = workspace.settings
        read = report(database, now=MONDAY)
        report_page(screen, read, currency=settings.currency, time_zone=settings.time_zone.key)
    with tempfile.TemporaryDirectory() as scratch:
        svg, page = Path(scratch) / "demo.svg", Path(scratch) / "page.html"
        screen.save_svg(str(svg), title="Regulars")
        drawn = svg.read_text(encoding="utf-8")
        page.write_text(f"<body style='margin:0;background:#fff'>{drawn}</body>", encoding="utf-8")
        ratio = drawn.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split()
        height = round(1200 * float(ratio[1]) / float(ratio[0])) + 8
        browser = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--disable-sync",
            "--no-first-run",
        ]
        target = Path(__file__).parent / "demo.png"
        subprocess.run(
            [browser, *flags, f"--user-data-dir={scratch}/profile", f"--window-size=1200,{height}", f"--screenshot={target}", f"file://{page}"],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
    sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

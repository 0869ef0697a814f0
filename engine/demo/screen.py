"""The demo on the terminal: what is about to be played, the date running by, the report, and what to try next."""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Protocol

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from engine.demo.perform import END, START, Moment, Played, perform
from engine.demo.purchases import SHOP_ZONE
from engine.demo.vendors import Vendors
from engine.measure.report import Report

PROLOGUE = (
    "[bold]A record shop, 1 January 1997 to 30 June 1998[/bold]\n"
    "6,919 real purchases of 2,357 customers (CDNOW; Fader & Hardie 2001). Their names, addresses, languages and time "
    "zones are invented, and so is what they do with their mail. Email goes over SMTP, the rest over HTTP, to stand-ins "
    "of the vendors on this machine; what people do comes back through signed webhooks and links.\n"
)

EPILOGUE = """
The workspace stays in [bold]{folder}[/bold]: rules, templates, config.yaml, the customers and the ledger. The stand-ins are
gone; from now on email is written into its outbox/ and the rest onto the screen. Try:

  cd {folder}{path}
  regulars audience lapsing --now 1998-07-06T16:00Z      who has gone quiet by then
  regulars plan --now 1998-07-06T16:00Z                  what would be sent, to whom, and when
  regulars run --once --now 1998-07-06T16:00Z            send what is due that Monday: look into outbox/
  regulars report win-back                               what came of one campaign

Then change a word in rules/ or templates/ and run [bold]regulars check[/bold]."""


class ShowReport(Protocol):
    """How a report is put on the screen."""

    def __call__(self, screen: Console, read: Report, *, currency: str, time_zone: str) -> None: ...


def show(folder: Path | None, screen: Console, *, show_report: ShowReport) -> None:
    """Play the demo in `folder`, or in a temporary one that stays. Raises RegularsError where the folder is not empty."""
    # The play is a door of its own: what the daemon would log each day is on the screen as a count.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    place = (folder or Path(tempfile.mkdtemp(prefix="regulars-demo-"))).resolve()
    screen.print(PROLOGUE, highlight=False)
    played = _perform(place, screen)
    show_report(screen, played.report, currency="USD", time_zone=SHOP_ZONE.key)
    screen.print(_records(played), highlight=False)
    screen.print(EPILOGUE.format(folder=place, path=_path()), highlight=False, soft_wrap=True)


def _path() -> str:
    """How to reach the command, where the shell does not find it by itself."""
    own = Path(sys.argv[0]).resolve()
    if shutil.which("regulars") or own.name != "regulars":
        return ""
    return f"\n  export PATH={own.parent}:$PATH"


def _perform(folder: Path, screen: Console) -> Played:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=12), TextColumn("{task.fields[so_far]}"))
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("taking in", total=(END - START).days, so_far="the customers and their purchases")

        def tell(moment: Moment) -> None:
            progress.update(
                task,
                completed=(moment.now - START).days,
                description=f"{moment.now.astimezone(SHOP_ZONE):%d %b %Y}",
                so_far=_so_far(moment),
            )

        played = perform(folder, tell=tell)
        progress.update(task, completed=(END - START).days)
    return played


def _so_far(moment: Moment) -> str:
    counts = {
        "sent": moment.messages["accepted"],
        "opened": moment.opened,
        "clicked": moment.clicked,
        "left": moment.left,
    }
    return " · ".join(f"{count:,} {word}" for word, count in counts.items())


def _records(played: Played) -> str:
    """What the vendors themselves have on record: as many as the ledger says, and none twice."""
    taken = {name: [received.key for received in getattr(played.vendors, name).accepted] for name in Vendors.__slots__}
    doubles = sum(count - 1 for keys in taken.values() for count in Counter(keys).values())
    sent = sum(line.sent for line in played.report.lines)
    words = ", ".join(f"{_NAMES[name]} {len(keys):,}" for name, keys in taken.items())
    return (
        f"The vendors' own records: {words}. Together {sum(map(len, taken.values())):,}; the ledger says {sent:,}. "
        f"Handed over twice: {doubles}. Played in {played.seconds:.0f} seconds."
    )


_NAMES = {"smtp": "the mail server", "sendgrid": "SendGrid", "twilio": "Twilio", "mastodon": "Mastodon"}

"""The clock's door: the daemon. It fires schedules, keeps the senders running, takes in what providers' mailboxes hold,
reloads the rules and stops cleanly.

The ledger is the truth; a schedule's firing is only a reason to look. Two daemons, a restart or a missed tick launch
nothing twice and forget nothing, because an occurrence is a unique row.

    installation  a workspace at work, whatever its clock
    live          the daemon on a clock that runs
    stepped       the same on one that jumps; and a single pass
"""

from engine.daemon.installation import Installation, open_workspace_database, set_up
from engine.daemon.live import Daemon, for_long_work
from engine.daemon.stepped import Stepped, World, once

__all__ = ["Daemon", "Installation", "Stepped", "World", "for_long_work", "once", "open_workspace_database", "set_up"]

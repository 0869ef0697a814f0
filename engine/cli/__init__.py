"""The terminal's door: `regulars` and its commands. Exit status 0 good, 1 findings, 2 misuse."""

from __future__ import annotations

import gc
import sys

from engine.errors import RegularsError


def main() -> None:
    """Run the command; an error is shown in words, never as a stack of calls."""
    gc.disable()  # what imports make stays for good: looking for garbage in it takes a fifth of a short command's time
    from engine.cli.app import app, fail  # the commands are listed in engine/cli/commands.py

    gc.freeze()
    gc.enable()
    try:
        app()
    except RegularsError as error:
        sys.exit(fail(error))
    except OSError as error:
        where = str(error.filename or "")
        sys.exit(fail(RegularsError(error.strerror or type(error).__name__, where=where)))


__all__ = ["main"]

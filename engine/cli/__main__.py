"""`python -m engine.cli`: the same as `regulars`."""

from engine.cli import main

main()

"""Conditions that can never hold, found before anybody waits for them: `{at_least: 5, less_than: 3}`, never bought and bought twice.

`allowed` says which values an operator allows, `rows` which events count; `atoms` makes single conditions of both, `facts` holds
them against each other, `suppose` tries `all`, `any` and `not`, and `find` tells what came out. It is sound and not complete:
what it refuses can never hold, whatever the customers; what it lets pass may still be empty.
"""

from engine.rules.never.find import Finding, findings, of_condition

__all__ = ["Finding", "findings", "of_condition"]

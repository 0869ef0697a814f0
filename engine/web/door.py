"""What the HTTP door is given when it opens: the workspace, the database, the clock, the providers, and a bell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from engine.campaigns.launch import Submit, nobody
from engine.clock import Clock
from engine.content.links import Links
from engine.provider import Provider
from engine.rules.workspace import Workspace
from engine.store import Database


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """What every endpoint works with.

    workspace: gives the rules in force now, so that a reload needs no restart. providers: the open ones
    now, by their names in config.yaml.
    submit: told, in the transaction that owes a message, that there is one. wake: after it, tells the senders of this
    process that something is due; it must return at once and never raise.
    """

    workspace: Callable[[], Workspace]
    database: Database
    clock: Clock
    providers: Callable[[], Mapping[str, Provider]]
    links: Links
    wake: Callable[[], None]
    submit: Submit = nobody


def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


TheDoor = Annotated[Door, Depends(_door)]
"""The parameter by which an endpoint asks for the door."""

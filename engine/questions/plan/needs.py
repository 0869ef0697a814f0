"""What a template needs to know of a customer: two customers who agree in it are written the same words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import TemplateSyntaxError, nodes

from engine.content.sandbox import Sandbox
from engine.content.syntax import MAPPING_METHODS
from engine.content.versions import PARTS, TemplateVersion
from engine.model import Channel

_BY_THE_CLOCK = frozenset({"today", "time_zone"})
_CLOCK_FILTERS = frozenset({"date", "time"})
_FOREIGN = {channel: {part for other in PARTS if other is not channel for part in PARTS[other]} for channel in PARTS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """`attributes` of the customer beside the locale; None where any of them may be asked for. `clock`: the time zone, too."""

    attributes: frozenset[str] | None
    clock: bool


def needs(version: TemplateVersion, channel: Channel) -> Needs:
    """Read from the files themselves, layouts included; rather too much than too little."""
    sandbox, attributes, clock = Sandbox(version.sources), set[str](), False
    whole = False
    for path, source in version.sources.items():
        if path.rpartition("/")[2] in _FOREIGN[channel]:
            continue
        try:
            tree = sandbox.tree(source, path)
        except (TemplateSyntaxError, RecursionError):
            continue  # it cannot be rendered for anybody
        asked = list(_asked(tree))
        named = sum(name.name == "customer" for name in tree.find_all(nodes.Name))
        whole = whole or named != len(asked) or bool(MAPPING_METHODS & set(asked))
        attributes.update(asked)
        clock = clock or _looks_at_the_clock(tree)
    return Needs(attributes=None if whole else frozenset(attributes), clock=clock or whole or "time_zone" in attributes)


def _asked(tree: nodes.Template) -> Iterator[str]:
    """The attributes in `customer.first_name` and `customer["first_name"]`."""
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        root = node.node  # type: ignore[attr-defined]
        if not isinstance(root, nodes.Name) or root.name != "customer":
            continue
        if isinstance(node, nodes.Getattr):
            yield node.attr
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            yield node.arg.value


def _looks_at_the_clock(tree: nodes.Template) -> bool:
    names = {name.name for name in tree.find_all(nodes.Name)}
    return bool(names & _BY_THE_CLOCK) or any(one.name in _CLOCK_FILTERS for one in tree.find_all(nodes.Filter))

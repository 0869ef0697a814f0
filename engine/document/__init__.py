"""YAML files in which every value knows its place (`tree`), and how they get their types (`typed`)."""

from engine.document.tree import Items, Node, Pairs, Text, load, node, parse, plain, position_of
from engine.document.typed import suggestion, validate
from engine.errors import Position

__all__ = [
    "Items",
    "Node",
    "Pairs",
    "Position",
    "Text",
    "load",
    "node",
    "parse",
    "plain",
    "position_of",
    "suggestion",
    "validate",
]

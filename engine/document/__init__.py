"""YAML files in which every value knows its place (`read`, `tree`), and how they get their types (`typed`)."""

from engine.document.read import Again, Document, load, parse, read
from engine.document.tree import Items, Node, Pairs, Text, node, plain, position_of
from engine.document.typed import suggestion, validate
from engine.errors import Position

__all__ = [
    "Again",
    "Document",
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
    "read",
    "suggestion",
    "validate",
]

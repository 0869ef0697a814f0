"""A trace as a tree on the terminal: what holds, what does not, and the value beside it."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree

from engine.questions.trace import Node


def tree(node: Node) -> Tree:
    """The node and its parts. A segment whose condition is one group shows that group in its own line."""
    words, children = _words(node), node.children
    if len(children) == 1 and children[0].children and not node.value and node.verdict == children[0].verdict:
        words.append(f": {children[0].sentence}")
        children = children[0].children
    if node.at and node.children:
        words.append(f"  {node.at}", style="dim")
    grown = Tree(words, guide_style="dim")
    for child in children:
        grown.children.append(tree(child))
    return grown


def _words(node: Node) -> Text:
    words = Text("✓ " if node.verdict else "✗ ", style="green" if node.verdict else "red")
    words.append(node.sentence, style="default")
    if node.value:
        words.append(f": {node.value}", style="dim")
    return words

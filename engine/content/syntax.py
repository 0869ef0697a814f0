"""What a template's syntax tree tells before it runs: what is forbidden, what it uses, and where its work is metered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import meta, nodes
from jinja2.visitor import NodeTransformer, NodeVisitor

from engine.document import suggestion

DEEPEST_LOOP = 3
MAPPING_METHODS = frozenset({"get", "items", "keys", "values"})

LOOP, TEXT, HOLDS, SEARCHED = "loop of", "text of", "all in", "search in"
"""Names of the metering filters; with their space, no template can write them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something in one template file. `word` is what stands there, to find its column."""

    line: int
    word: str
    what: str
    remedy: str = ""


# ---------------------------------------------------------------- what is forbidden


def forbidden(
    tree: nodes.Template, *, filters: Collection[str], tests: Collection[str], remedies: Mapping[str, str]
) -> list[Finding]:
    """Everything in the template that is refused whatever its values, in the order of the file."""
    lint = _Lint(filters, tests, remedies)
    lint.visit(tree)
    return sorted(lint.findings, key=lambda finding: finding.line)


class _Lint(NodeVisitor):
    def __init__(self, filters: Collection[str], tests: Collection[str], remedies: Mapping[str, str]) -> None:
        self.filters, self.tests, self.remedies = filters, tests, remedies
        self.findings: list[Finding] = []
        self.loops = 0

    def _found(self, node: nodes.Node, word: str, what: str, remedy: str = "") -> None:
        self.findings.append(Finding(line=node.lineno, word=word, what=what, remedy=remedy))

    def visit_For(self, node: nodes.For) -> None:  # noqa: N802  (Jinja calls visitors by the node's class)
        if node.recursive:
            self._found(node, "recursive", "a recursive loop is not allowed.", "Write the levels out.")
        self.loops += 1
        if self.loops == DEEPEST_LOOP + 1:
            self._found(
                node, "for", f"loops are nested more than {DEEPEST_LOOP} deep.", "Prepare the data before it is sent."
            )
        self.generic_visit(node)
        self.loops -= 1

    def visit_Block(self, node: nodes.Block) -> None:  # noqa: N802
        if self.loops:
            self._found(node, node.name, "a block cannot stand inside a loop.", "Put the loop inside the block.")
        self.generic_visit(node)

    def visit_Filter(self, node: nodes.Filter) -> None:  # noqa: N802
        self._named(node, node.name, "filter", self.filters)

    def visit_Test(self, node: nodes.Test) -> None:  # noqa: N802
        self._named(node, node.name, "test", self.tests)

    def _named(self, node: nodes.Filter | nodes.Test, name: str, kind: str, known: Collection[str]) -> None:
        if name not in known:
            remedy = self.remedies.get(name) or suggestion(name, known)
            self._found(node, name, f'there is no {kind} "{name}".', remedy)
        self.generic_visit(node)

    def visit_Getattr(self, node: nodes.Getattr) -> None:  # noqa: N802
        self._private(node, node.attr)

    def visit_Getitem(self, node: nodes.Getitem) -> None:  # noqa: N802
        self._private(node, node.arg.value if isinstance(node.arg, nodes.Const) else None)

    def _private(self, node: nodes.Expr, name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            self._found(node, name, f'"{name}" is not for templates.', "Names there do not begin with _.")
        self.generic_visit(node)

    def visit_Mul(self, node: nodes.Mul) -> None:  # noqa: N802
        for side in (node.left, node.right):
            if isinstance(side, nodes.Const) and isinstance(side.value, str):
                self._found(node, "*", "text cannot be multiplied.", "Write it out.")
        self.generic_visit(node)

    def visit_ScopedEvalContextModifier(self, node: nodes.ScopedEvalContextModifier) -> None:  # noqa: N802
        self._found(node, "autoescape", "escaping cannot be switched.", "HTML files escape values, text files do not.")
        self.generic_visit(node)

    def _reference(self, node: nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport) -> None:
        if any(name is None for name in _names(node.template)):
            self._found(
                node, "{%", "a file's name must be written out here.", 'Write it in quotes: "_shop/footer.html".'
            )
        self.generic_visit(node)

    visit_Extends = visit_Include = visit_Import = visit_FromImport = _reference  # noqa: N815


def _names(node: nodes.Expr) -> Iterator[str | None]:
    """The file names in an include or extends; None for what is not written out."""
    items = node.items if isinstance(node, nodes.List | nodes.Tuple) else [node]
    for item in items:
        yield item.value if isinstance(item, nodes.Const) and isinstance(item.value, str) else None


# ---------------------------------------------------------------- what a template uses


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Another file that a template needs. `blocks`: the blocks it stands in, here and below."""

    name: str
    line: int
    optional: bool
    blocks: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """A value that a template takes from outside: `customer`, or `customer.first_name` with its attribute."""

    root: str
    attribute: str | None
    line: int
    blocks: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Uses:
    """What one file uses: other files, values, names that it makes itself, and its own words.

    `parent` is the layout it extends; `replaces` are that layout's blocks of which nothing is left, for want of super().
    """

    references: tuple[Reference, ...]
    values: tuple[Use, ...]
    made: frozenset[str]
    words: str
    parent: str | None
    replaces: frozenset[str]


def uses(tree: nodes.Template) -> Uses:
    """Raises jinja2.TemplateSyntaxError where the template cannot be compiled."""
    made, outside = frozenset(_made(tree)), meta.find_undeclared_variables(tree)
    blocks = _Blocks(tree)
    parents = [name for extends in tree.find_all(nodes.Extends) for name in _names(extends.template)]
    return Uses(
        references=tuple(_references(tree, blocks)),
        values=tuple(_values(tree, outside, made, blocks)),
        made=made,
        words="".join(data.data for data in tree.find_all(nodes.TemplateData)),
        parent=parents[0] if parents else None,
        replaces=blocks.replaces,
    )


class _Blocks:
    """Which blocks each node of a template stands in, and which blocks take nothing from the layout's."""

    def __init__(self, tree: nodes.Template) -> None:
        self._around: dict[int, frozenset[str]] = {}
        replaces = set()
        for block in tree.find_all(nodes.Block):
            for node in block.find_all(nodes.Node):
                self._around[id(node)] = self.around(node) | {block.name}
            if not any(
                isinstance(call.node, nodes.Name) and call.node.name == "super" for call in block.find_all(nodes.Call)
            ):
                replaces.add(block.name)
        self.replaces = frozenset(replaces)

    def around(self, node: nodes.Node) -> frozenset[str]:
        return self._around.get(id(node), frozenset())


def shown(path: str, files: Mapping[str, Uses]) -> Iterator[Use]:
    """The values that a page can really show: those of the blocks of a layout that another file replaces are left out."""
    replaced: frozenset[str] = frozenset()
    seen: set[str] = set()
    name: str | None = path
    while name is not None and name in files and name not in seen:
        seen.add(name)
        uses = files[name]
        yield from (use for use in uses.values if not use.blocks & replaced)
        for reference in uses.references:
            if reference.name != uses.parent and not reference.blocks & replaced and reference.name not in seen:
                yield from shown(reference.name, {other: files[other] for other in files if other not in seen})
        replaced, name = replaced | uses.replaces, uses.parent


def _references(tree: nodes.Template, blocks: _Blocks) -> Iterator[Reference]:
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        names = list(_names(node.template))  # type: ignore[attr-defined]
        optional = len(names) > 1 or (isinstance(node, nodes.Include) and node.ignore_missing)
        for name in names:
            if name is not None:
                yield Reference(name=name, line=node.lineno, optional=optional, blocks=blocks.around(node))


def _made(tree: nodes.Template) -> Iterator[str]:
    for name in tree.find_all(nodes.Name):
        if name.ctx in ("store", "param"):
            yield name.name
    for macro in tree.find_all(nodes.Macro):
        yield macro.name
    for whole in tree.find_all(nodes.Import):
        yield whole.target
    for some in tree.find_all(nodes.FromImport):
        yield from (name if isinstance(name, str) else name[1] for name in some.names)


def _values(tree: nodes.Template, outside: set[str], made: frozenset[str], blocks: _Blocks) -> Iterator[Use]:
    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name in outside:
            yield Use(root=name.name, attribute=None, line=name.lineno, blocks=blocks.around(name))
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        attribute = _attribute(node)
        root = node.node  # type: ignore[attr-defined]
        if attribute is None or not isinstance(root, nodes.Name) or root.name not in outside - made:
            continue
        if not (id(node) in called and attribute in MAPPING_METHODS):
            yield Use(root=root.name, attribute=attribute, line=node.lineno, blocks=blocks.around(node))


def _attribute(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.arg.value
    return None


# ---------------------------------------------------------------- where its work is metered


def metered(tree: nodes.Template) -> nodes.Template:
    """The same template with the meter at every place that can multiply: loops, `~`, lists made of values, `in`."""
    result = _Meters().visit(tree)
    assert isinstance(result, nodes.Template)
    return result


class _Meters(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        length = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        length += sum(len(const.value) for const in node.find_all(nodes.Const) if isinstance(const.value, str))
        self.generic_visit(node)
        node.iter = _filtered(node.iter, LOOP, nodes.Const(1 + length, lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_filtered(part, TEXT) for part in node.nodes]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        for operand in node.ops:
            if operand.op in ("in", "notin") and not isinstance(operand.expr, nodes.Literal):
                operand.expr = _filtered(operand.expr, SEARCHED)
        return node

    def _literal(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Expr:
        self.generic_visit(node)
        fixed = not any(node.find_all((nodes.Name, nodes.Call)))
        return node if fixed or getattr(node, "ctx", "load") != "load" else _filtered(node, HOLDS)

    visit_List = visit_Tuple = visit_Dict = _literal  # noqa: N815


def _filtered(node: Any, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno, environment=node.environment)

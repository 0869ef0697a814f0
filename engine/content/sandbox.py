"""The Jinja environment that templates run in: plain values, listed filters, no way out, and a limit to its work."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from functools import partial
from typing import Any

from jinja2 import DictLoader, StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes
from jinja2.environment import TemplateModule
from jinja2.parser import Parser
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing

from engine.content import filters, syntax
from engine.content.forms import texts
from engine.content.meter import Meter, MissingValue, Refused

LONGEST_RANGE = 1_000
LARGEST_NUMBER = 1e30
HIGHEST_POWER = 100
COST_OF_A_CALL = 50

TEXT_METHODS = (
    "capitalize count endswith find isalpha isdigit lower lstrip removeprefix removesuffix rstrip split splitlines "
    "startswith strip title upper"
)
METHODS: Mapping[type, frozenset[str]] = {
    dict: syntax.MAPPING_METHODS,
    str: frozenset(TEXT_METHODS.split()),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
}
"""The methods of plain values; all of them return something of about the value's own size, none changes it."""

MACHINERY = (LoopContext, TemplateModule, TemplateReference, BlockReference, Macro, Namespace)
"""What a template holds besides its values: `loop`, imported files, `self`, blocks, macros, namespaces."""


def _range(*bounds: int) -> range:
    """Raises Refused for more turns than any message has lines."""
    numbers = range(*bounds)
    if len(numbers) > LONGEST_RANGE:
        raise Refused(f"a range has at most {LONGEST_RANGE} numbers")
    return numbers


GLOBALS: Mapping[str, Any] = {"range": _range, "namespace": Namespace}
CALLABLE = frozenset(GLOBALS.values())


class Missing(StrictUndefined):
    """A value that is not there. It may be asked about (`if`, `==`, `is defined`, `default`); to use it is an error."""

    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = None) -> None:
        error: Any = exc or partial(MissingValue, name=name, holder=obj)
        super().__init__(hint, obj, name, error)

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return other is None or isinstance(other, Undefined)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return id(type(self))


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles and runs the files of one template version. Threads may share it: each has its own count on the meter.

    Attributes are looked up in mappings only, so that `data.items` is the customer's items and not a method; plain values
    have the few methods in METHODS. Raises Refused for whatever is not allowed.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.meter = Meter()
        super().__init__(
            loader=DictLoader(sources),
            autoescape=_escapes,
            undefined=Missing,
            finalize=self.meter.written,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self.filters = filters.filters(self.meter)
        self.tests = filters.tests()
        self.allowed = frozenset(self.filters)
        self.filters |= {
            syntax.LOOP: self._loop,
            syntax.TEXT: self.meter.written,
            syntax.HOLDS: self.meter.weighed,
            syntax.SEARCHED: self._searched,
        }
        self.globals = dict(GLOBALS)
        self.own_texts: set[int] = set()

    # ------------------------------------------------------------ reading

    def tree(self, source: str, name: str) -> nodes.Template:
        """The syntax tree as written. Raises TemplateSyntaxError."""
        return Parser(self, source, name, None).parse()

    def preprocess(self, source: str, name: str | None = None, filename: str | None = None) -> str:
        """Jinja drops the line end after every tag; here it stays where the line has words of its own."""
        source = super().preprocess(source, name, filename)
        return source if _RAW.search(source) else _ENDS_WITH_TAG.sub(_line_end_kept, source)

    def forbidden(self, tree: nodes.Template) -> list[syntax.Finding]:
        return syntax.forbidden(tree, filters=self.allowed, tests=self.tests, remedies=filters.REMEDIES)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = self.tree(source, name or "")
        for finding in self.forbidden(tree):
            raise TemplateSyntaxError(finding.what.removesuffix("."), finding.line, name, filename)
        return syntax.metered(tree)

    def _load_template(self, name: str, globals: MutableMapping[str, Any] | None) -> Template:
        self.charge_for(name)
        template = super()._load_template(name, globals)
        if template.globals is self.globals:
            return template
        for block in (template.root_render_func, *template.blocks.values()):
            self.own_texts.update(texts(block.__code__))
        template.globals = self.globals  # Jinja's own is a chain of mappings, slow to read for every message
        return template

    def charge_for(self, name: str) -> None:
        """What it costs to take a file into a message, whether it was compiled before or not."""
        assert isinstance(self.loader, DictLoader)
        self.meter.charge(1 + len(self.loader.mapping.get(name, "")))

    # ------------------------------------------------------------ running

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict:  # the usual case, without a further call
            value = obj.get(attribute)
            if value is not None:
                return value
        return self._looked_up(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str):
            return self._looked_up(obj, argument)
        try:
            value = obj[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)
        if isinstance(argument, slice):
            self.meter.charge(len(value))
        return self.undefined(obj=obj, name=argument) if value is None else value

    def _looked_up(self, obj: Any, name: str) -> Any:
        if isinstance(obj, dict) and name in obj:
            value = obj[name]
            return self.undefined(obj=obj, name=name) if value is None else value
        if name.startswith("_"):
            shown = f'"{name}"' if name.isidentifier() else "this name"  # it may be a value's text
            raise Refused(f"{shown} is not for templates", "Names there do not begin with _.")
        for kind, methods in METHODS.items():
            if isinstance(obj, kind):
                known = name in methods or name in getattr(obj, "_fields", ())
                return getattr(obj, name) if known else self._no_such(obj, name)
        if isinstance(obj, MACHINERY):
            return super().getattr(obj, name)
        if isinstance(obj, Undefined):
            return getattr(obj, name)  # raises MissingValue
        return self.undefined(obj=obj, name=name)

    def _no_such(self, obj: Any, name: str) -> Any:
        if isinstance(obj, str) and hasattr(str, name):
            raise Refused(f'text has no method "{name}" here', f"Use a filter, like | {name}.")
        return self.undefined(obj=obj, name=name)

    def is_safe_callable(self, obj: Any) -> bool:
        """Macros, blocks, this environment's own functions, and the methods that were looked up on plain values."""
        if isinstance(obj, Undefined):
            str(obj)  # raises MissingValue
        holder = getattr(obj, "__self__", None)
        return isinstance(obj, Macro | BlockReference) or obj in CALLABLE or isinstance(holder, (*METHODS, LoopContext))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.meter.charge(COST_OF_A_CALL)
        result = super().call(context, obj, *args, **kwargs)
        self.meter.charge(len(result) if isinstance(result, str) else 0)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and not (_is_number(left) and _is_number(right)):
            return self.meter.weighed(left) + self.meter.weighed(right)
        if not (_is_number(left) and _is_number(right)):
            for value in (left, right):
                if isinstance(value, Undefined):
                    str(value)  # raises MissingValue
            raise Refused(f"only numbers can stand beside {operator}", "For text use ~ to join, and the filter format.")
        if operator == "**" and abs(right) > HIGHEST_POWER:
            raise Refused(f"a power is at most {HIGHEST_POWER}")
        result = super().call_binop(context, operator, left, right)
        if abs(result) > LARGEST_NUMBER:
            raise Refused("this number is too large")
        return result

    def _loop(self, values: Any, cost: int) -> Any:
        """What a loop goes over, charged for all its turns at once: nested loops are charged at each of the outer's."""
        if isinstance(values, Undefined):
            iter(values)  # raises MissingValue
        sized = values if hasattr(values, "__len__") else list(values)
        self.meter.charge(cost * len(sized))
        return sized

    def _searched(self, values: Any) -> Any:
        if hasattr(values, "__len__"):
            self.meter.charge(1 + len(values) // 8)
        return values


_ENDS_WITH_TAG = re.compile(r"^.*[%#]\}$", re.MULTILINE)
_RAW = re.compile(r"\{%[-+]?\s*raw\b")
_TAG = re.compile(r"\{%.*?%\}|\{#.*?#\}")


def _line_end_kept(line: re.Match[str]) -> str:
    """A line such as `Hello{% if x %} you{% endif %}`, marked with Jinja's + so that what follows stays on its own line."""
    text = line[0]
    marked = text[-3] in "-+" if len(text) > 2 else True
    tags = list(_TAG.finditer(text))
    if marked or not tags or tags[-1].end() != len(text) or not _TAG.sub("", text).strip():
        return text
    return f"{text[:-2]}+{text[-2:]}"


def _escapes(name: str | None) -> bool:
    return name is not None and name.endswith(".html")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)

"""What an expression of the source can say: templates, each value in them by its name in braces.

A text is followed to where it comes from: a local variable to its assignments, a parameter to the
calls of its function, a call to what the function returns. Texts that are chosen in one branch
belong together, so that no cause meets the remedy of another.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef
Block = tuple[tuple[int, str], ...]

_BLOCKS = ("body", "orelse", "finalbody", "handlers")
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_VALUE = re.compile(r"\{\w*\}")
_DEPTH = 6
_END = 1_000_000


class Place(NamedTuple):
    """Where a node stands: its function, or None, and the blocks around it, line and branch."""

    function: Function | None
    block: Block
    line: int


class Template(NamedTuple):
    """A text and what it holds under: of blocks and conditions whether, of functions which call."""

    text: str
    choices: Mapping[object, object] = {}


class Source:
    """A module's code. `constants` are those of others, which it may import."""

    def __init__(self, text: str, *, constants: Mapping[str, str] = {}) -> None:
        self._imported = constants
        self.calls: list[tuple[ast.Call, Place]] = []
        self._functions: dict[str, Function] = {}
        self._assigned: dict[tuple[Function | None, str], list[tuple[ast.expr, Place]]] = {}
        self._returned: dict[Function, list[tuple[ast.expr, Place]]] = {}
        self._leaving: set[Block] = set()
        self._visit(ast.parse(text), Place(None, (), 0))

    def _visit(self, node: ast.AST, place: Place) -> None:
        for field, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            inner = place
            if isinstance(node, Function) and field == "body":
                self._functions[node.name] = node
                inner = Place(node, (), node.lineno)
            elif field in _BLOCKS and isinstance(node, ast.stmt) and isinstance(value, list):
                inner = place._replace(block=(*place.block, (node.lineno, field)))
            if children and isinstance(children[-1], _LEAVING):
                self._leaving.add(inner.block)
            for child in children:
                if isinstance(child, ast.AST):
                    line = getattr(child, "lineno", inner.line)
                    self._note(child, inner._replace(line=line))
                    self._visit(child, inner._replace(line=line))

    def _note(self, node: ast.AST, place: Place) -> None:
        if isinstance(node, ast.Call):
            self.calls.append((node, place))
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            # Of the module's own iterators each item is one text; others hold values.
            if isinstance(node.iter, ast.Call) and name_of_function(node.iter).startswith("_"):
                key = (place.function, node.target.id)
                self._assigned.setdefault(key, []).append((node.iter, place))
        elif isinstance(node, ast.Return | ast.Yield) and node.value is not None and place.function:
            self._returned.setdefault(place.function, []).append((node.value, place))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            added = ast.BinOp(ast.Name(node.target.id), ast.Add(), node.value)
            key = (place.function, node.target.id)
            self._assigned.setdefault(key, []).append((added, place))
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                pairs: list[tuple[ast.expr, ast.expr]] = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for name, value in pairs:
                    if isinstance(name, ast.Name):
                        key = (place.function, name.id)
                        self._assigned.setdefault(key, []).append((value, place))

    def read(  # noqa: PLR0911 - one return for each kind of expression
        self, node: ast.expr, place: Place, *, depth: int = 0
    ) -> list[Template]:
        """Every text that `node` can be, at `place`."""
        match node:
            case ast.Constant(value=str(text)):
                return [Template(text)]
            case ast.JoinedStr(values=parts):
                return self._join(parts, place, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._join([left, right], place, depth)
            case ast.IfExp(test=test, body=body, orelse=other):
                return [
                    Template(text, {**choices, ast.unparse(test): holds})
                    for holds, value in ((True, body), (False, other))
                    for text, choices in self.read(value, place, depth=depth)
                ]
            case ast.BoolOp(op=ast.Or(), values=values):
                return [text for each in values for text in self.read(each, place, depth=depth)]
            case ast.FormattedValue(value=value):
                found = self.read(value, place, depth=depth)
                is_told = any(" " in text for text, _ in found)
                return found if is_told else [Template(_show(value))]
            case ast.Name(id=name) if depth < _DEPTH:
                origins = list(self._find_origins(name, place))
                own = self._imported.get(name, _show(node))
                # Where nothing is known of it, its own name says most.
                return [
                    Template(own if _VALUE.fullmatch(text) else text, choices)
                    for text, choices in self._follow(origins, depth) or [Template(own)]
                ]
            case ast.Call(func=ast.Name(id=name)) if name in self._functions and depth < _DEPTH:
                returned = self._returned.get(self._functions[name], [])
                found = self._follow([(*each, {}) for each in returned], depth)
                return found or [Template(_show(node))]
        return [Template(_show(node))]

    @property
    def constants(self) -> dict[str, str]:
        """The texts that have a name in the whole module."""
        return {
            name: value.value
            for (function, name), [(value, _), *_] in self._assigned.items()
            if function is None and name.strip("_").isupper()
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
        }

    def _follow(
        self, origins: list[tuple[ast.expr, Place, dict[object, object]]], depth: int
    ) -> list[Template]:
        return [
            Template(text, {**choices, **chosen})
            for value, place, chosen in origins
            for text, choices in self.read(value, place, depth=depth + 1)
        ]

    def _join(self, parts: list[ast.expr], place: Place, depth: int) -> list[Template]:
        read = [self.read(part, place, depth=depth) for part in parts]
        return [
            Template("".join(template.text for template in chosen), merged)
            for chosen in product(*read)
            if (merged := merge(*chosen)) is not None
        ]

    def _find_origins(
        self, name: str, place: Place
    ) -> Iterator[tuple[ast.expr, Place, dict[object, object]]]:
        assigned = [
            (value, where)
            for value, where in self._assigned.get((place.function, name), [])
            if where.line <= place.line and where is not place
            if self._reaches(where.block, place.block)
        ]
        around = [where.line for _, where in assigned if _is_around(where.block, place.block)]
        since = max(around, default=0)
        blocks: set[Block] = {where.block for _, where in assigned if where.line >= since}
        for value, where in assigned:
            if where.line >= since:
                chosen: dict[object, object] = {where.block: True}
                chosen |= {each: False for each in blocks if not _is_around(each, where.block)}
                yield value, where, chosen
        if around or place.function is None:
            return
        arguments = place.function.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
        if name not in names + [each.arg for each in arguments.kwonlyargs]:
            yield from self._find_origins(name, Place(None, (), _END))
            return
        is_method = names[:1] in (["self"], ["cls"])
        for call, where in self.calls:
            is_spread = any(isinstance(each, ast.Starred) for each in call.args)
            if name_of_function(call) == place.function.name and not is_spread:
                given = {key.arg: key.value for key in call.keywords}
                given |= dict(zip(names[is_method:], call.args, strict=False))
                if name in given:
                    which = (call.lineno, call.col_offset)
                    others: dict[object, object] = dict.fromkeys(blocks, False)
                    yield given[name], where, {**others, place.function.name: which}

    def _reaches(self, block: Block, other: Block) -> bool:
        """Whether what is assigned in `block` can be in force in `other`, further down."""
        leaves = block in self._leaving and not _is_around(block, other)
        return not leaves and not _are_exclusive(block, other)


def merge(*templates: Template) -> dict[object, object] | None:
    """What several templates hold under, or None where they exclude each other."""
    merged: dict[object, object] = {}
    for template in templates:
        for key, choice in template.choices.items():
            if merged.setdefault(key, choice) != choice:
                return None
    blocks = [key for key, choice in merged.items() if isinstance(key, tuple) and choice]
    exclude = any(_are_exclusive(one, other) for one in blocks for other in blocks)
    return None if exclude else merged


def _is_around(outer: Block, inner: Block) -> bool:
    return inner[: len(outer)] == outer


def _are_exclusive(one: Block, other: Block) -> bool:
    """Whether two blocks are different branches of one statement."""
    first = next(((a, b) for a, b in zip(one, other, strict=False) if a != b), None)
    return first is not None and first[0][0] == first[1][0]


def name_of_function(call: ast.Call) -> str:
    """The last part of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def name_of(node: ast.expr) -> str:
    """A short name of a value: of `quote(use.text)` it is `text`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Call(args=[value, *_]) | ast.Subscript(value=value):
            return name_of(value)
        case ast.Call():
            return name_of_function(node)
        case ast.BoolOp(values=[value, *_]):
            return name_of(value)
    return ""


def _show(node: ast.expr) -> str:
    return f"{{{name_of(node)}}}"

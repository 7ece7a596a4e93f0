"""The code of modules as far as texts come from it: what is assigned, called and returned where."""

import ast
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from catalogue.choices import Block, are_exclusive, is_around

Function = ast.FunctionDef | ast.AsyncFunctionDef

_BLOCKS = ("body", "orelse", "finalbody", "handlers")
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Place(NamedTuple):
    """Where a node stands: module, function or None, and the blocks around it, line and branch."""

    module: str
    function: Function | None
    block: Block
    line: int


class Code:
    """Modules, by their names, with what they import from each other."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self.calls: list[tuple[ast.Call, Place]] = []
        self.returned: dict[Function, list[tuple[ast.expr, Place]]] = defaultdict(list)
        self.calls_of: dict[str, list[tuple[ast.Call, Place]]] = defaultdict(list)
        self._functions: dict[str, list[tuple[str, Function]]] = defaultdict(list)
        self._bases: dict[str, str] = {}
        self._imported: dict[tuple[str, str], tuple[str, str]] = {}
        self.assigned: dict[tuple[object, str], list[tuple[ast.expr, Place]]] = defaultdict(list)
        self._leaving: set[Block] = set()
        for name, text in modules.items():
            self._visit(ast.parse(text), begin(name))

    def _visit(self, node: ast.AST, place: Place) -> None:
        for field, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            inner = place
            if isinstance(node, Function) and field == "body":
                self._functions[node.name].append((place.module, node))
                inner = begin(place.module)._replace(function=node)
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
        match node:
            case ast.Call():
                self.calls.append((node, place))
                self.calls_of[name_of_function(node)].append((node, place))
            case ast.ClassDef(name=name, bases=[base, *_]) if last_name(base) != name:
                self._bases[name] = last_name(base)
            case ast.ImportFrom(module=str(module), names=names):
                for each in names:
                    self._imported[place.module, each.asname or each.name] = module, each.name
            case ast.For(target=target, iter=ast.Call() as value):
                # Of the module's own iterators each item is one text; others hold values.
                if name_of_function(value).startswith("_"):
                    self._assign(target, value, place)
            case (
                ast.Return(value=ast.expr() as value)
                | ast.Yield(value=ast.expr() as value)
                | ast.YieldFrom(value=ast.GeneratorExp(elt=value))
            ) if place.function:
                self.returned[place.function] += [(each, place) for each in _without_none(value)]
            case ast.AugAssign(target=ast.Name() as target, value=value):
                self._assign(target, ast.BinOp(target, ast.Add(), value), place)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value, place)
            case ast.AnnAssign(value=ast.expr() as value) | ast.NamedExpr(value=value):
                self._assign(node.target, value, place)

    def _assign(self, target: ast.expr, value: ast.expr, place: Place) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=True):
                self._assign(one, its, place)
        elif isinstance(target, ast.Name):
            self.assigned[place.function or place.module, target.id].append((value, place))

    def is_error(self, name: str) -> bool:
        """Whether that is an exception, one of Python's or a class of these modules."""
        while name in self._bases:
            name = self._bases[name]
        return name.endswith(("Error", "Exception"))

    def find_called(self, call: ast.Call, place: Place) -> list[Function]:
        """What `call` can be of: a function by its name, a method by the only one of that name."""
        module, name = place.module, name_of_function(call)
        if isinstance(call.func, ast.Name):
            module, name = self.resolve(module, name)
        own = [function for home, function in self._functions[name] if home == module]
        others = [function for _, function in self._functions[name]]
        is_method = isinstance(call.func, ast.Attribute) and len(others) == 1
        return own or (others if is_method else [])

    def resolve(self, module: str, name: str) -> tuple[str, str]:
        """The module that has `name`, and what it calls it."""
        while (module, name) in self._imported:
            module, name = self._imported[module, name]
        return module, name

    def reaches(self, block: Block, other: Block) -> bool:
        """Whether what is assigned in `block` can be in force in `other`, further down."""
        leaves = block in self._leaving and not is_around(block, other)
        return not leaves and not are_exclusive(block, other)


def begin(module: str) -> Place:
    """The place of a module's own first line."""
    return Place(module, None, ((module, ""),), 0)


def _without_none(value: ast.expr) -> list[ast.expr]:
    """What a function says by returning `value`: where it is None, nothing."""
    match value:
        case ast.Constant(value=None):
            return []
        case (
            ast.IfExp(body=ast.Constant(value=None), orelse=one)
            | ast.IfExp(body=one, orelse=ast.Constant(value=None))
        ):
            return [one]
    return [value]


def list_defaults(function: Function) -> dict[str, ast.expr]:
    """The parameters that need not be given, and what they are then."""
    own = function.args
    parameters = [*own.posonlyargs, *own.args]
    first = len(parameters) - len(own.defaults)
    named = [*parameters[first:], *own.kwonlyargs]
    values = zip(named, [*own.defaults, *own.kw_defaults], strict=True)
    return {parameter.arg: value for parameter, value in values if value is not None}


def name_of_function(call: ast.Call) -> str:
    """The last part of what is called."""
    return last_name(call.func)


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")

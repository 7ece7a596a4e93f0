"""What an expression of the source can say: templates, each value in them by its name in braces.

A text is followed to where it comes from, in other modules too: a name to its assignments, a
parameter to the calls of its function, a call to what the function returns. Texts that are chosen
in one branch belong together, so that no cause meets the remedy of another.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import product

from catalogue.choices import Block, Template, is_around, merge
from catalogue.code import Code, Place, begin, list_defaults, name_of_function

_VALUE = re.compile(r"\{\w*\}")
_DEPTH = 6
# What shows a value and is no text of its own.
_SHOWING = {"quote", "show_word"}
_END = 1_000_000


class Source(Code):
    """Modules in which expressions can be read."""

    def read(  # noqa: PLR0911 - one return for each kind of expression
        self, node: ast.expr, place: Place, *, depth: int = 0
    ) -> list[Template]:
        """Every text that `node` can be, at `place`."""
        match node:
            case ast.Constant(value=str(text)):
                return [Template(text)]
            case ast.Constant(value=None):
                return [Template("", {None: True})]
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
                # No sentence has a None in it: such a value keeps the sentence from being said.
                read = self.read(value, place, depth=depth)
                found = [each for each in read if None not in each.choices]
                return found if _is_told(found) else [Template(show(value))]
            case ast.Name(id=name) if depth < _DEPTH:
                # Where nothing is known of it, its own name says most.
                return [
                    Template(show(node) if _VALUE.fullmatch(text) else text, choices)
                    for text, choices in self._follow(self._find_origins(name, place, depth), depth)
                ] or [Template(show(node))]
            case ast.Tuple(elts=values) | ast.List(elts=values):
                return [text for each in values for text in self.read(each, place, depth=depth)]
            case (
                ast.ListComp(elt=value)
                | ast.Call(func=ast.Name(id="next" | "tuple"), args=[value, *_])
            ):
                return self.read(value, place, depth=depth)
            case ast.Call() if depth < _DEPTH and name_of_function(node) not in _SHOWING:
                returned = [
                    each for one in self.find_called(node, place) for each in self.returned[one]
                ]
                found = self._follow([(*each, {}) for each in returned], depth)
                return found if _is_told(found) else [Template(show(node))]
        return [Template(show(node))]

    def _follow(
        self, origins: Iterable[tuple[ast.expr, Place, dict[object, object]]], depth: int
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
        self, name: str, place: Place, depth: int
    ) -> Iterator[tuple[ast.expr, Place, dict[object, object]]]:
        assigned = [
            (value, where)
            for value, where in self.assigned[place.function or place.module, name]
            if where.line <= place.line and where is not place
            if self.reaches(where.block, place.block)
        ]
        around = [where.line for _, where in assigned if is_around(where.block, place.block)]
        since = max(around, default=0)
        blocks: set[Block] = {where.block for _, where in assigned if where.line >= since}
        for value, where in assigned:
            if where.line >= since:
                chosen: dict[object, object] = {where.block: True}
                chosen |= {each: False for each in blocks if not is_around(each, where.block)}
                yield value, where, chosen
        if around:
            return
        if place.function is None:
            module, its = self.resolve(place.module, name)
            if module != place.module:
                yield from self._find_origins(its, begin(module)._replace(line=_END), depth)
            return
        arguments = place.function.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
        if name not in names + [each.arg for each in arguments.kwonlyargs]:
            yield from self._find_origins(name, begin(place.module)._replace(line=_END), depth)
            return
        is_method = names[:1] in (["self"], ["cls"])
        for call, where in self.calls_of[place.function.name]:
            if place.function in self.find_called(call, where):
                given = list_defaults(place.function)
                if any(isinstance(each, ast.Starred) for each in call.args):
                    given = {key: value for key, value in given.items() if key not in names}
                else:
                    given |= dict(zip(names[is_method:], call.args, strict=False))
                given |= {key.arg: key.value for key in call.keywords if key.arg}
                if name in given:
                    which = (where.module, call.lineno, call.col_offset)
                    others: dict[object, object] = dict.fromkeys(blocks, False)
                    # A word that another module gives is a value, such as a key.
                    is_text = where.module == place.module or _is_told(
                        self.read(given[name], where, depth=depth + 1)
                    )
                    value = given[name] if is_text else ast.Attribute(ast.Name(""), name)
                    yield value, where, {**others, place.function: which}


def _is_told(templates: Iterable[Template]) -> bool:
    """Whether they are a text and no value: there is more than a word."""
    return any(" " in text for text, _ in templates)


def name_of(node: ast.expr) -> str:
    """A short name of a value: of `quote(use.text)` it is `text`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Constant(value=str(word)) if word.isidentifier():
            return word
        case ast.Call(args=[value, *_]) | ast.Subscript(value=value) | ast.IfExp(body=value):
            return name_of(value)
        case ast.Call():
            return name_of_function(node)
        case ast.BoolOp(values=[value, *_]):
            return name_of(value)
    return ""


def show(node: ast.expr) -> str:
    """The name of a value in braces."""
    return f"{{{name_of(node)}}}"

"""Texts of the source that are in no message, so that none is missed whose form is not known."""

import ast
import re
from collections.abc import Iterator

from catalogue.code import name_of_function
from catalogue.templates import show

# What --help and schemas are made of.
_DOCUMENTATION = {"description", "help", "metavar"}
_VALUE = re.compile(r"(?:\{\w*\}|%[dgs])")


def find_rest(code: str, known: str) -> Iterator[str]:
    """Each text of more than a word in `code` that is neither in `known` nor documentation."""
    for spelled in _list_texts(ast.parse(code)):
        text, *more = spelled.strip().removeprefix("hint: ").split("\n")
        if " " in text and not _is_in(known, text):
            # Of a file that is written for a person, the first line stands for it.
            yield f"{text} ..." if more else text


def _is_in(known: str, text: str) -> bool:
    """Whether it stands there, as a whole line where there are only single words in it."""
    pieces = _VALUE.split(text)
    is_told = any(" " in each.strip() for each in pieces)
    pattern = (".*" if is_told else _VALUE.pattern).join(map(re.escape, pieces))
    return re.search(pattern if is_told else f"^{pattern}$", known, re.MULTILINE) is not None


def _list_texts(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(text for part in parts for text in _list_texts(part))
        case ast.FormattedValue(value=value):
            yield show(value)
        case ast.keyword(arg=name) if name in _DOCUMENTATION:
            return
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Call() if name_of_function(node) == "compile":
            return
        case _:
            types = (getattr(node, "annotation", None), getattr(node, "returns", None))
            for child in ast.iter_child_nodes(node):
                if child not in types:
                    yield from _list_texts(child)

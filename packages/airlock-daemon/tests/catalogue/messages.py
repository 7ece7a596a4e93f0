"""Every message for a person, as it stands in the source of the packages."""

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, product
from pathlib import Path
from typing import NamedTuple

from catalogue.templates import Place, Source, merge, name_of, name_of_function

CATALOGUE = Path(__file__).with_name("messages.txt")
PACKAGES = ("airlock_daemon", "airlock_modules", "airlock_shim", "airlock_wire")


class Form(NamedTuple):
    """What makes a message: the names of the arguments by position, and which are what of it.

    `kind` is what the catalogue calls it, if not by what is called, and `begins` goes before.
    """

    arguments: tuple[str, ...]
    place: tuple[str, ...] = ()
    cause: str = "message"
    remedy: str = "hint"
    kind: str = ""
    begins: str = ""


_ERROR = Form(("message",))
_FAULT = Form(("source", "key", "problem", "remedy"), ("source", "key"), "problem", "remedy")
_TEXT = Form(("message",), remedy="")
_PARAMS = Form(("path", "problem"), ("path",), "problem", "", "invalid_params")
_UNLIKE = Form(("raw", "path", "expected"), ("path",), "expected", "", "invalid_params", "must be ")
_LEVELS = ("error", "exception", "info", "warning")
_FORMS: Mapping[str, Form] = {
    **dict.fromkeys(("AirlockError", "BadDescriptors", "Failed", "UnknownCommand"), _ERROR),
    **dict.fromkeys(("Unmapped", "failed", "invalid_request", "parse_error"), _ERROR),
    **dict.fromkeys(("Denied", "denied"), Form(("message",), ("layer", "rule"), kind="Denied")),
    "Decision": Form((), ("layer",)),
    "_refuse": Form((), ("rule",), "why", "", "Verdict", "... is refused: "),
    **dict.fromkeys(("Fault", "Finding"), _FAULT),
    "fault": _FAULT._replace(
        arguments=("key", "problem", "remedy"), place=("{file}", "key"), kind="Fault"
    ),
    "Remark": Form(("kind", "file", "line", "message"), ("file",), remedy=""),
    "wrong": _PARAMS,
    "unlike": _UNLIKE,
    "read": _UNLIKE._replace(arguments=("raw", "path", "decode", "expected")),
    **dict.fromkeys(("BadParameter", "BinaryError", "HookFault"), _TEXT),
    **dict.fromkeys(("NotationError", "RuleError", "ValueError", "say"), _TEXT),
    **dict.fromkeys(_LEVELS, _TEXT._replace(kind="log")),
}
_VALUE = re.compile(r"\{\w*\}")
_FORMATTED = re.compile(r"%(?:[dgs]|(%))")


class Message(NamedTuple):
    """One message: `place` and `remedy` are "" where it has none; values are names in braces."""

    file: str
    kind: str
    place: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        """Return its lines in the catalogue."""
        place = f" [{self.place}]" if self.place else ""
        remedy = f"\n    > {self.remedy}" if self.remedy else ""
        return f"{self.kind}{place} {self.cause}{remedy}"


def find_messages() -> list[Message]:
    """Every message of the packages, each once, by file and text."""
    texts = {name: text for package in PACKAGES for name, text in _list_files(package)}
    constants: dict[str, str] = {}
    for text in texts.values():
        constants |= Source(text).constants
    found = {
        message
        for file, text in texts.items()
        for message in _find_in(file, Source(text, constants=constants))
    }
    return sorted(found)


def write_catalogue(messages: Iterable[Message]) -> str:
    """The messages as the text of the catalogue."""
    files = groupby(messages, key=lambda message: message.file)
    return "\n".join(
        "\n".join([file, *(f"  {line}" for each in group for line in str(each).split("\n")), ""])
        for file, group in files
    )


def has_words(text: str) -> bool:
    """Whether there are words in it beside its values."""
    return any(map(str.isalpha, _VALUE.sub("", text)))


def has_values(text: str) -> bool:
    """Whether there are values in it."""
    return _VALUE.search(text) is not None


def _list_files(package: str) -> Iterator[tuple[str, str]]:
    """The name and text of each file of a package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        for path in sorted(Path(folder).rglob("*.py")):
            yield f"{package}/{path.relative_to(folder)}", path.read_text(encoding="utf-8")


def _find_in(file: str, source: Source) -> Iterator[Message]:
    for call, place in source.calls:
        if _makes_message(call, place):
            yield from _read(source, file, call, place)


def _makes_message(call: ast.Call, place: Place) -> bool:
    name = name_of_function(call)
    if name not in _FORMS or _FORMS[name].cause not in _name_arguments(call):
        return False
    if place.function is not None and place.function.name in _FORMS:
        # If it hands on what its callers say, they are found by themselves.
        arguments = place.function.args
        own = (each.arg for each in (*arguments.args, *arguments.kwonlyargs))
        return _FORMS[place.function.name].cause not in own
    is_log = isinstance(call.func, ast.Attribute) and name_of(call.func.value) == "log"
    return is_log or name not in _LEVELS


def _name_arguments(call: ast.Call) -> dict[str | None, ast.expr]:
    given = {key.arg: key.value for key in call.keywords}
    return given | dict(zip(_FORMS[name_of_function(call)].arguments, call.args, strict=False))


def _read(source: Source, file: str, call: ast.Call, place: Place) -> Iterator[Message]:
    name, given = name_of_function(call), _name_arguments(call)
    form = _FORMS[name]
    parts = [
        source.read(given.get(part, ast.Constant(part if has_values(part) else "")), place)
        for part in (*form.place, form.cause, form.remedy)
    ]
    for chosen in product(*parts):
        if merge(*chosen) is None:
            continue
        *where, cause, remedy = (template.text for template in chosen)
        if name in _LEVELS:
            cause = _fill(cause, call.args[1:])
        if has_words(cause) or (cause and has_words(remedy)):
            told = "/".join(each for each in where if each not in {"", "{}"})
            yield Message(file, form.kind or name, told, form.begins + cause, remedy)


def _fill(text: str, values: list[ast.expr]) -> str:
    """A message of a logger with the names of its values."""
    unpacked = [value.value if isinstance(value, ast.Starred) else value for value in values]
    flat = [
        each
        for value in unpacked
        for each in (value.elts if isinstance(value, ast.Tuple) else [value])
    ]
    names = map(name_of, flat)
    return _FORMATTED.sub(lambda match: match[1] or f"{{{next(names)}}}", text)

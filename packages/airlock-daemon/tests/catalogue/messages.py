"""Every message for a person, as it stands in the source of the packages."""

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, product
from pathlib import Path
from typing import NamedTuple

from catalogue.choices import merge
from catalogue.code import Place, name_of_function
from catalogue.forms import ERROR, FORMS, LEVELS, Form
from catalogue.launcher import find_complaints
from catalogue.rest import find_rest
from catalogue.templates import Source, name_of

CATALOGUE = Path(__file__).with_name("messages.txt")
PACKAGES = ("airlock_daemon", "airlock_modules", "airlock_shim", "airlock_wire")

_VALUE = re.compile(r"\{\w*\}|%[dgs]")
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
    modules = dict(each for package in PACKAGES for each in _list_modules(package))
    native = [Message(file, kind, "", text, "") for file, kind, text in find_complaints()]
    return sorted({*find_in(modules), *native})


def find_in(modules: Mapping[str, str]) -> set[Message]:
    """The messages of modules, from their names and code."""
    source = Source(modules)
    found = {
        message
        for call, place in source.calls
        if (form := _find_form(source, call, place)) is not None
        for message in _read(source, call, place, form)
    }
    found.update(_find_lines(source))
    known = "\n".join(f"{each.place}\n{each.cause}\n{each.remedy}" for each in found)
    for name, code in modules.items():
        texts = set(find_rest(code, known))
        found |= {_make(name, "text", text) for text in texts if has_words(text)}
    return found


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


def _list_modules(package: str) -> Iterator[tuple[str, str]]:
    """The name and code of each module of a package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        for path in sorted(Path(folder).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            yield name, path.read_text(encoding="utf-8")


def _make(module: str, kind: str, text: str, *, place: str = "", remedy: str = "") -> Message:
    return Message(module.replace(".", "/") + ".py", kind, place, text, remedy)


def _find_lines(source: Source) -> Iterator[Message]:
    """What functions that make lines for a person yield."""
    for function, values in source.returned.items():
        if function.returns and ast.unparse(function.returns) == "Iterator[str]":
            for value, place in values:
                for text, _ in source.read(value, place):
                    if has_words(text):
                        yield _make(place.module, "line", text)


def _find_form(source: Source, call: ast.Call, place: Place) -> Form | None:
    """What `call` makes a message by, None where it makes none, or hands on what callers say."""
    name = name_of_function(call)
    in_module = f"{place.module.rpartition('.')[2]}.{name}"
    # An exception is one also where nobody has thought of its class here.
    other = ERROR if source.is_error(name) else None
    form = FORMS.get(in_module) or FORMS.get(name) or other
    if form is None or form.cause not in _name_arguments(call, form):
        return None
    if place.function is not None and place.function.name in FORMS:
        # If it hands on what its callers say, they are found by themselves.
        arguments = place.function.args
        own = (each.arg for each in (*arguments.args, *arguments.kwonlyargs))
        return None if FORMS[place.function.name].cause in own else form
    is_log = isinstance(call.func, ast.Attribute) and name_of(call.func.value) == "log"
    return form if is_log or name not in LEVELS else None


def _name_arguments(call: ast.Call, form: Form) -> dict[str | None, ast.expr]:
    given = {key.arg: key.value for key in call.keywords}
    told = [each for each in call.args if not isinstance(each, ast.Starred)]
    return given | dict(zip(form.arguments, told, strict=False))


def _read(source: Source, call: ast.Call, place: Place, form: Form) -> Iterator[Message]:
    name, given = name_of_function(call), _name_arguments(call, form)
    parts = [
        source.read(given.get(part, ast.Constant(part if has_values(part) else "")), place)
        for part in (*form.place, form.cause, form.remedy)
    ]
    for chosen in product(*parts):
        if merge(*chosen) is None:
            continue
        *where, cause, remedy = (template.text for template in chosen)
        if name in LEVELS:
            cause = _fill(cause, call.args[1:])
        if has_words(cause) or (cause and has_words(remedy)):
            told = "/".join(each for each in where if each not in {"", "{}"})
            yield _make(
                place.module,
                form.kind or name,
                form.begins + cause,
                place=told,
                remedy=remedy.removeprefix("hint: "),
            )


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

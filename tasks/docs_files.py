"""The reference of the files: each key that their readers read, its kind, default and bounds.

It is recorded while they read minimal files, so that it has exactly the keys that are read.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from airlock_daemon.setup.config import Config
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.profile import parse_profile
from airlock_modules import ModuleError, TableReader, parse_module

_KINDS = {
    "string": "string",
    "strings": "array of strings",
    "entries": "array of strings and tables",
    "boolean": "boolean",
    "integer": "integer",
    "integers": "array of integers",
    "number": "number",
    "string_map": "table of strings",
    "choice": "string",
}
_SOURCE = "/dev/null"
"""The files' name, which distinguishes them from other files read meanwhile."""
_INTRODUCTION = """\
# Files

Every key of the files, as the programs read them; one that is not here is a fault. What they mean
is in the READMEs of [the daemon](../../packages/airlock-daemon/README.md) and
[the modules](../../packages/airlock-modules/README.md). A profile may only lower `[limits]`, and
may have `[deny] COMMAND`, an array of rules, beside these.
"""


_WITH_A_SYNTAX = """
command = {bin = 'x'}
syntax = {style = 'gnu'}
[allow]
flags = ['--x']
unlisted = [{names = ['y'], reason = 'no'}]
commands = {SUBCOMMAND = ['--x']}
[[examples]]
args = []
expect = 'denied'
"""


_API = "hosts = ['a.b']\ncredential = {as = 'header', stored = 'NAME', placeholder = 'x_{36}'}"
_HELD = "credentials = {files = {'~/FILE' = '~/FILE'}, env = {NAME = 'NAME'}}"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as read by its reader."""

    table: str
    name: str
    kind: str
    default: str
    bounds: str


def write_files_page() -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION]
    for title, read in (
        ("config.toml", _read_config),
        ("airlock.toml, the profile of an agent", _read_profile),
        ("commands/NAME.toml, a module", _read_module),
    ):
        with _recording(_SOURCE) as keys:
            read()
        parts.append(f"## {title}\n\n{_write_table(keys)}\n")
    return "\n".join(parts)


def _read_config() -> None:
    Config.load(_SOURCE, faults=[], warnings=[])


def _read_profile() -> None:
    # Keys that are read only if they are present.
    text = "commands = []\n[git]\nprotocols = ['ssh']\nrefs = ['refs/heads/*']\n"
    text += "[sign]\nemails = ['a@b']\nauthors = ['a@b']\n[approve]\nrequire = ['git push']\n"
    text += "[docker]\n[bridge]\n[ssh]\n"
    text += "[gh]\ncredential = {stored = 'gh'}\n[aws]\ncredential = {stored = 'aws'}\n"
    text += f"[api.NAME]\n{_API}\ngraphql = {{mutations = []}}\n"
    parse_profile(text, source=_SOURCE, upper=Limits(), modules=Modules(), faults=[])


def _read_module() -> None:
    for text in (
        "command = {bin = 'x'}\ndeny = {args = [{rule = 'x', reason = 'no'}]}",
        "command = {broker = 'git'}",
        "command = {bin = 'x'}\nallow = {args = ['x']}",
        "command = {bin = 'x'}\ndeny = {args = []}\nsandbox = {box = 'closed'}",
        f"command = {{bin = 'x'}}\ndeny = {{args = []}}\n{_HELD}",
        _WITH_A_SYNTAX,
        f"[[api]]\n{_API}\ngraphql = {{mutations = []}}\n[client]\n",
    ):
        with suppress(ModuleError):
            parse_module(text, name="x", source=_SOURCE)


@contextmanager
def _recording(source: str) -> Iterator[dict[tuple[str, ...], Key]]:
    """Record each key that is read from a file in the block, in order."""
    keys: dict[tuple[str, ...], Key] = {}
    depth = 0

    def record(kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def ask(reader: TableReader, key: str, *values: Any, **options: Any) -> Any:
            nonlocal depth
            # A method that calls another one records only itself.
            if not depth and reader._source == source:  # noqa: SLF001 - nobody else asks
                table = reader._path  # noqa: SLF001
                keys.setdefault((*table, key), _describe(table, key, kind, values, options))
            depth += 1
            try:
                return original(reader, key, *values, **options)
            finally:
                depth -= 1

        return ask

    with ExitStack() as stack:
        for name in _KINDS:
            asking = record(name, getattr(TableReader, name))
            stack.enter_context(patch.object(TableReader, name, asking))
        yield keys


def _describe(
    table: tuple[str, ...], key: str, kind: str, values: tuple[Any, ...], options: dict[str, Any]
) -> Key:
    default = options.get("default")
    bounds = [_show(options.get(name)) for name in ("minimum", "maximum")]
    return Key(
        table=".".join(part for part in table if not part.isdigit()),
        name=key,
        kind=" or ".join(f'"{each}"' for each in values[0]) if kind == "choice" else _KINDS[kind],
        default="required" if options.get("required") else _show(default),
        bounds=" to ".join(bounds) if any(bounds) else "",
    )


def _show(default: object) -> str:
    if default is None or default in ("", ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default).removesuffix(".0")


def _write_table(keys: dict[tuple[str, ...], Key]) -> str:
    rows = ["| table | key | kind | default | bounds |", "|---|---|---|---|---|"]
    tables = list(dict.fromkeys(("", *(key.table for key in keys.values()))))
    for key in sorted(keys.values(), key=lambda each: tables.index(each.table)):
        table = f"`[{key.table}]`" if key.table else ""
        shown = f"`{key.default}`" if key.default not in ("", "required") else key.default
        rows.append(f"| {table} | `{key.name}` | {key.kind} | {shown} | {key.bounds} |")
    return "\n".join(rows)

"""`[credentials]` of a module: what the box of its command holds, and where the daemon gets it."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from airlock_modules.files.box_places import can_be_added, is_plain, is_within
from airlock_modules.files.toml_reader import TableReader
from airlock_wire.text import quote

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# `${NAME}` or `${NAME:-PATH}`, as a shell would write it, and behind it a file in that directory.
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\}(/(?!\.\.?$)[^/}]+)?")
# A place that only the tool is told of, by a variable; behind it a file in that directory.
_HIDDEN = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}(/(?!\.\.?$)[^/]+)?")
_OPTIONAL = "?"
_LOGINS = "logins"
_NOT_FOR = "not_for"
# What tells a tool of profiles, and of their keys.
_AWS_FILES = frozenset(("${AWS_CONFIG_FILE}", "${AWS_SHARED_CREDENTIALS_FILE}"))
# No array of a file is this one.
_FAULTY = ("\0",)


class HostFile(Struct, frozen=True, tag=True):
    """A file or a unix socket of the host at `path`: absolute, or from the human's home on (`~/`).

    With a `variable` it is the one that this variable of the daemon names, and `path`, "" for none,
    is for a daemon without it; `below`, which begins with `/`, is added to either. What
    `is_optional` may be absent.
    """

    path: str
    variable: str = ""
    is_optional: bool = False
    below: str = ""


class Logins(Struct, frozen=True, tag=True):
    """The logins of registries in a configuration of docker's, and nothing else that this has.

    Those that a helper keeps (`credsStore`, `credHelpers`) the daemon asks it for. Commands whose
    first argument is one of `not_for` speak with no registry, and get none.
    """

    configuration: HostFile
    not_for: tuple[str, ...] = ()


class HostVariable(Struct, frozen=True, tag=True):
    """The value of a variable of the daemon's; one that `is_optional` may be absent."""

    name: str
    is_optional: bool = False


class Printed(Struct, frozen=True, tag=True):
    """What a command prints that the daemon runs: a name on its PATH, or a path, and arguments."""

    argv: tuple[str, ...]


class Credentials(Struct, frozen=True):
    """What a box holds: `files` by their path in the box, where `~/` is its home, and variables.

    What is called `${NAME}` is at a path that nobody can guess, which the tool finds in that
    variable, and `${NAME}/FILE` in a directory that is so. `aws_export`, with `--profile NAME`
    behind it, prints the keys of a profile of AWS that a box cannot get by itself. With
    `aws_endpoint` the box has keys of AWS in no file and no variable: an address gives them.
    """

    files: Mapping[str, HostFile | Logins | Printed] = {}
    env: Mapping[str, HostVariable | Printed] = {}
    aws_export: Printed | None = None
    aws_endpoint: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all variables by which the tool is told of any of it."""
        hidden = (find_variable(target) for target in self.files)
        return tuple(dict.fromkeys((*self.env, *(name for name in hidden if name))))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.files or self.env)


def find_variable(target: str) -> str:
    """The variable that tells of the file `target` of a box, "" where it is at a path."""
    hidden = _HIDDEN.fullmatch(target)
    return "" if hidden is None else hidden[1]


def read_credentials(
    reader: TableReader, *, forward: Iterable[str], fixed: Iterable[str]
) -> Credentials | None:
    """Read the table of a module file, None where there is none. Faults are recorded by `reader`.

    `forward` are the variables that the client chooses, `fixed` those that the module does.
    """
    if not reader.has("credentials"):
        return None
    table = reader.table("credentials")
    files, env = table.table("files"), table.table("env")
    chosen = _Chosen(tuple(forward), tuple(fixed))
    held = _read_files(files, chosen)
    export = _read_aws_export(table, held)
    return Credentials(held, _read_env(env, chosen), export, _read_aws_endpoint(table))


class _Chosen(Struct, frozen=True):
    """Variables that others choose: `forward` the client, `fixed` the module itself."""

    forward: tuple[str, ...]
    fixed: tuple[str, ...]

    def check(self, table: TableReader, key: str, name: str) -> bool:
        """Whether nobody chooses `name`; else a fault at `key`."""
        beginnings = tuple(entry[:-1] for entry in self.forward if entry.endswith("*"))
        if name in self.fixed:
            problem = "[env] strip or set has it too, so that this value is never used"
            table.fault(key, problem, "keep one of the two")
        elif name in self.forward or name.startswith(beginnings):
            problem = "[env] forward lets the client choose it"
            table.fault(key, problem, "take it, or the beginning that has it, out of forward")
        else:
            return True
        return False


def _read_files(table: TableReader, chosen: _Chosen) -> dict[str, HostFile | Logins | Printed]:
    files: dict[str, HostFile | Logins | Printed] = {}
    for target in table.names():
        found = _read_source(table, target)
        hidden = find_variable(target)
        if hidden and not chosen.check(table, target, hidden):
            continue
        if not hidden and not is_plain(target):
            problem = f"{quote(target)} is no plain path of a box"
            table.fault(target, problem, 'write it like "~/.tool/config" or "/etc/tool/token"')
        elif not hidden and not can_be_added(target):
            problem = f"{quote(target)} is a place that a box has of its own"
            table.fault(target, problem, "write a path in ~/, which is the box's own home")
        elif any(is_within(target, each) or is_within(each, target) for each in files):
            table.fault(target, "one of these files lies in the other", "keep one of the two")
        elif found is not None:
            files[target] = found
    return files


def _read_source(table: TableReader, target: str) -> HostFile | Logins | Printed | None:
    if table.has_array(target):
        return _read_command(table, target)
    if not table.has_table(target):
        return _read_host_file(table, target)
    inner = table.table(target)
    if not inner.has(_LOGINS):
        remedy = f'write it like {{ {_LOGINS} = "~/.docker/config.json?" }}'
        table.fault(target, f"it has no {_LOGINS}", remedy)
    configuration = _read_host_file(inner, _LOGINS)
    not_for = inner.strings(_NOT_FOR)
    for word in not_for:
        if not word or word.startswith("-"):
            remedy = 'write the first arguments of commands, like "ps"'
            inner.fault(_NOT_FOR, f"{quote(word)} is no subcommand", remedy)
    return None if configuration is None else Logins(configuration, not_for)


def _read_host_file(table: TableReader, target: str) -> HostFile | None:
    text = table.string(target)
    if text is None:
        return None
    plain = text.removesuffix(_OPTIONAL)
    is_optional = plain != text
    named = _NAMED.fullmatch(plain)
    if named is None:
        variable, path, below = "", plain, ""
    else:
        variable, path, below = named[1], named[2] or "", named[3] or ""
    if is_plain(path) or (variable and not path):
        return HostFile(path, variable, is_optional, below)
    remedy = 'write it like "~/.tool/config", "${NAME:-~/.tool/config}", or ["COMMAND", "ARG"]; '
    remedy += f'with a {_OPTIONAL} at the end, like "~/.tool/config?", it may be absent'
    table.fault(target, f"{quote(text)} names no file of the host", remedy)
    return None


def _read_env(table: TableReader, chosen: _Chosen) -> dict[str, HostVariable | Printed]:
    variables: dict[str, HostVariable | Printed] = {}
    for name in table.names():
        is_command = table.has_array(name)
        found = _read_command(table, name) if is_command else _read_variable(table, name)
        if not _NAME.fullmatch(name):
            problem = f"{quote(name)} is not the name of an environment variable"
            table.fault(name, problem, "use letters, digits and _ only, and no digit first")
        elif chosen.check(table, name, name) and found is not None:
            variables[name] = found
    return variables


def _read_variable(table: TableReader, name: str) -> HostVariable | None:
    text = table.string(name)
    if text is None:
        return None
    plain = text.removesuffix(_OPTIONAL)
    if _NAME.fullmatch(plain):
        return HostVariable(plain, is_optional=plain != text)
    # It may be the secret itself, and is not shown.
    problem = "is not the name of a variable of the daemon's"
    remedy = (
        f'write such a name, or ["COMMAND", "ARG"]; with a {_OPTIONAL} at the end it may be unset'
    )
    table.fault(name, problem, remedy)
    return None


def _read_aws_export(table: TableReader, files: Iterable[str]) -> Printed | None:
    if not table.has("aws_export"):
        return None
    if not _AWS_FILES.issubset(files):
        named = " and ".join(f'"{each}"' for each in sorted(_AWS_FILES))
        table.fault("aws_export", "the box has no files for it", f"name {named} in files")
    return _read_command(table, "aws_export")


def _read_aws_endpoint(table: TableReader) -> bool:
    is_wanted = table.boolean("aws_endpoint", default=False)
    if is_wanted and not table.has("aws_export"):
        remedy = "name a command that prints them in aws_export"
        table.fault("aws_endpoint", "nothing says how keys of a login are to be had", remedy)
    return is_wanted


def _read_command(table: TableReader, key: str) -> Printed | None:
    argv = table.strings(key, default=_FAULTY)
    if argv == _FAULTY:
        return None
    program = argv[0] if argv else ""
    if not program or ("/" in program and not is_plain(program)) or program in (".", ".."):
        problem = "its command is no program's name on PATH and no absolute path"
        table.fault(key, problem, 'write it like ["gh", "auth", "token"]')
        return None
    return Printed(argv)

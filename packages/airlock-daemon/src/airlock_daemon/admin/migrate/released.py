"""Files of earlier releases: configuration, profiles, registrations, modules."""

import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from airlock_daemon.admin.migrate.layout import Layout
from airlock_daemon.admin.new_files import CONFIG, REGISTRATION
from airlock_daemon.admin.toml_edit import append_table, comment_out, extend_array, format_array
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import read_exact
from airlock_daemon.setup.generation import Agent, Modules
from airlock_modules import ModuleError, is_name, parse_module
from airlock_wire import quote

_BOM = "\ufeff"
_MEND = "mend that line, or move the file away"


def read_plain(path: str) -> str | None:
    """A file's text without a byte order mark; None if it is missing.

    Raises AirlockError if it cannot be read.
    """
    text = read_exact(path)
    return None if text is None else text.removeprefix(_BOM)


def read_lenient(path: str) -> str | None:
    """As `read_plain`, but None also for text that is not UTF-8, which all releases ignored.

    Raises AirlockError for a file that this user may not read: its content is unknown then.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise AirlockError(
            f"{path} cannot be read: {error.strerror}", hint="run this as the user whose it is"
        ) from error


def _parse(text: str, *, hint: str) -> dict[str, Any]:
    """Parse TOML. Raises AirlockError."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise AirlockError(f"not valid TOML: {error}", hint=hint) from error


_READ = {
    "commands": ("enable",),
    "daemon": ("log_level",),
    "log": ("path", "max_size_mb", "max_files"),
}
_LEVELS = ("debug", "info", "warning", "error")


class ConvertedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A config.toml, and what changed."""

    text: str
    changes: tuple[str, ...] = ()


def convert_config(text: str | None, *, layout: Layout, enable: Sequence[str]) -> ConvertedConfig:
    """Convert the text of config.toml, None for no file.

    `enable` are the commands that v0.1 and v0.2 enabled implicitly; later ones have their own list.
    Raises AirlockError if the file is not valid TOML, or has an unsupported form.
    """
    body = CONFIG if text is None else text
    data = _parse(body, hint=_MEND)
    unread = list(_find_unread(data, has_ceiling=layout in ("v0.3", "v0.4")))
    quiet = comment_out(body, unread)
    if quiet is None:
        keys = ", ".join(".".join(key) for key in unread)
        raise AirlockError(
            f"{keys} did nothing in {layout}, and is in a form that no program changes",
            hint="remove it, and try again",
        )
    changes = tuple(f"{'.'.join(key)} did nothing, and becomes a comment" for key in unread)
    if enable and quiet is not None:
        extended = extend_array(quiet, "commands", "enable", enable)
        if extended is None:
            raise AirlockError(
                "writes [commands] in a form that no program changes",
                hint="remove that table, and try again",
            )
        quiet = extended
    return ConvertedConfig(text=quiet if quiet.endswith("\n") else f"{quiet}\n", changes=changes)


def _find_unread(data: Mapping[str, object], *, has_ceiling: bool) -> Iterator[tuple[str, ...]]:
    """The tables and keys that no release read, or that this one does not."""
    for table, inner in data.items():
        known = _READ.get(table)
        if known is None or (table == "commands" and not has_ceiling):
            yield (table,)
        elif isinstance(inner, dict):
            for key, value in inner.items():
                is_level = key != "log_level" or value in _LEVELS
                if key not in known or not is_level:
                    yield (table, key)


_KEYS = ("commands", "env")


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """An airlock.toml, the `commands` that it grants ([] for all), and what changed."""

    text: str
    commands: tuple[str, ...]
    variables: tuple[str, ...]
    changes: tuple[str, ...] = ()


def convert_profile(text: str, *, layout: Layout, known: Collection[str]) -> Converted:
    """Convert the text of profiles/NAME.toml; `known` are the existing commands.

    Raises AirlockError if its meaning is unclear.
    """
    data = _parse(text, hint=_MEND)
    _refuse_unclear(data)
    variables = tuple(data.get("env", {}).get("set", {}))
    head = f"# Made by `airlock-daemon migrate` of a profile of {layout}.\n"
    body = text if not text or text.endswith("\n") else f"{text}\n"
    commands: list[str] | None = data.get("commands")
    if commands is None:
        if layout == "v0.3":
            raise AirlockError(
                f"has no commands, and {layout} did not start with it",
                hint='list what it may run, commands = ["git-remote"], or move the file away',
            )
        line = "commands = []    # all within the ceiling, as no commands meant\n"
        return Converted(text=f"{head}{line}{body}", commands=(), variables=variables)
    if commands or layout == "v0.3":
        return Converted(text=head + body, commands=tuple(commands), variables=variables)
    nothing = "nothing"
    while nothing in known:
        nothing += "-at-all"
    rest = comment_out(body, [("commands",)])
    if rest is None:
        raise AirlockError(
            f"commands = [] allowed nothing in {layout}, and would allow all here",
            hint="list what it may run, or move the file away",
        )
    return Converted(
        text=f"{head}# [] allowed nothing there, and would allow all here.\n"
        f"commands = {format_array([nothing])}    # which is no command\n{rest}",
        commands=(nothing,),
        variables=variables,
        changes=(
            (
                "commands = [] allowed nothing, and would allow all here: it names a command now "
                f"that there is not, {nothing}"
            ),
        ),
    )


def _refuse_unclear(data: dict[str, Any]) -> None:
    commands, env = data.get("commands", []), data.get("env", {})
    variables = env.get("set", {}) if isinstance(env, dict) else None
    unknown = [key for key in data if key not in _KEYS]
    unknown += [f"env.{key}" for key in env if key != "set"] if isinstance(env, dict) else []
    is_good = (
        isinstance(commands, list)
        and all(isinstance(each, str) for each in commands)
        and isinstance(variables, dict)
        and all(isinstance(each, str) for each in variables.values())
    )
    if unknown or not is_good:
        what = f"{unknown[0]} is nothing that" if unknown else "commands or env.set is not what"
        raise AirlockError(
            f"{what} an earlier release had", hint="correct it, or move the file away"
        )


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's old and new names, and its absolute directory."""

    before: str
    name: str
    directory: str


def read_released(text: str, *, directories: Sequence[str]) -> list[Registered]:
    """Parse a registration; relative paths start at the one of `directories` with the agent.

    Raises AirlockError if that is unclear, or the file is no registration.
    """
    data = _parse(text, hint="mend that line, and try again")
    agents: list[Registered] = []
    names = clean_names(tuple(data))
    for before, entry in data.items():
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not path:
            raise AirlockError(
                f"{quote(before)} has no path", hint="write one, or remove the table"
            )
        directory = _find_directory(path, directories)
        agents.append(Registered(before=before, name=names[before], directory=directory))
    return agents


def write_registration(agents: Sequence[Registered], *, relative_to: str = "") -> str:
    """Format a registration of these agents, with relative paths below `relative_to`."""
    text = REGISTRATION
    for agent in agents:
        path = agent.directory
        if relative_to and path.startswith(f"{relative_to}/"):
            path = os.path.relpath(path, relative_to)
        added = append_table(text, agent.name, {"path": path})
        if added is None:
            raise AirlockError(
                f"{quote(path)} cannot be written to a registration", hint="rename the directory"
            )
        text = added
    return text


def clean_names(before: Sequence[str]) -> dict[str, str]:
    """Map each agent's name to its name in this release: the same if it is valid."""
    names = {name: name for name in before if is_name(name)}
    for name in before:
        if name in names:
            continue
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:60] or "agent"
        number, clean = 2, plain
        while clean in names.values():
            clean, number = f"{plain}-{number}", number + 1
        names[name] = clean
    return {name: names[name] for name in before}


def _find_directory(path: str, directories: Sequence[str]) -> str:
    candidates = [os.path.normpath(os.path.join(each, path)) for each in directories]
    found = [each for each in dict.fromkeys(candidates) if os.path.isdir(each)]
    with_profile = [each for each in found if os.path.isfile(os.path.join(each, Agent.PROFILE))]
    if len({os.path.realpath(each) for each in with_profile}) > 1:
        raise AirlockError(
            f"{quote(path)} may be {' or '.join(with_profile)}",
            hint="write it as an absolute path; it was relative to the daemon's directory",
        )
    return next(iter((*with_profile, *found, *candidates)))


# Each release used the built-in module if an override could not be read, and only said so on
# stderr. Such a file must not take effect by an upgrade; one in effect must stay so.

_KNOWN: Mapping[str, Mapping[str, Callable[[], Any]]] = {
    "command": {"bin": str},
    "deny": {"args": list},
    "allow": {"args": list},
    "env": {"strip": list, "set": dict},
    "args": {"append": list},
    "exec": {"concurrent": bool},
}
_NO_RULES = "\n[deny]\nargs = []\n"
_HOME = """
# Added by `airlock migrate`, since a command whose module names no box is refused. "home"
# keeps it working: it can read and send away every credential in your home. "closed" has none.
[sandbox]
box = "home"
"""


Meaning = Literal["used", "skipped", "unclear"]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """One file of `commands/`.

    It was `used`; or `skipped`, for the `reason`; or it is `unclear` whether, or cannot be
    migrated. `text` means the same in this release; with `is_boxed` it has an added box, without
    which this release refuses the command. `changes` are for a person who relies on it.
    """

    command: str
    meaning: Meaning
    reason: str = ""
    text: str = ""
    is_boxed: bool = False
    changes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Why it is not used, as a predicate of its name."""
        was = "has never been used" if is_name(self.command) else "is not used any more"
        return f"{was}, since {self.reason}"


def read_override(text: str | None, *, command: str, source: str, layout: Layout) -> Override:
    """Parse an override's text, None for one that is not UTF-8."""
    meaning: Meaning = "skipped"
    reason = _find_breakage(text)
    if not is_name(command):
        reason = "no command can have that name in this release"
    if text is None or reason:
        return Override(command=command, meaning=meaning, reason=reason)
    data = tomllib.loads(text)
    has_rules = bool({"deny", "allow"} & data.keys())
    meaning, reason = _judge(data, layout)
    after = text if text.endswith("\n") else f"{text}\n"
    after += "" if has_rules else _NO_RULES
    if meaning == "used":
        meaning, reason = _try(after, command, source, layout)
    if meaning != "used":
        return Override(command=command, meaning=meaning, reason=reason)
    changes = _list_changes(data, layout)
    if not has_rules:
        changes.append("it refuses nothing, as before: [deny] is added, which has to be there")
    is_boxed = Modules.add_default_box(parse_module(after, name=command, source=source)).lacks_box
    return Override(
        command=command,
        meaning="used",
        text=after + _HOME if is_boxed else after,
        is_boxed=is_boxed,
        changes=tuple(changes),
    )


def _judge(data: Mapping[str, object], layout: Layout) -> tuple[Meaning, str]:
    """Whether a release used these tables and keys, and why not."""
    unknown = _find_unknown(data)
    is_single = len({"deny", "allow"} & data.keys()) == 1
    if layout == "v0.4":
        if unknown:
            return "skipped", f"it has {unknown}"
        return ("used", "") if is_single else ("skipped", "it has not one of [deny] and [allow]")
    doubt = f"and whether {layout} used it is not known"
    if layout == "v0.3" and not is_single:
        return "unclear", f"it has not one of [deny] and [allow], {doubt}"
    if layout != "v0.3" and "allow" in data:
        unknown = "[allow]"
    return ("unclear", f"it has {unknown}, {doubt}") if unknown else ("used", "")


def _try(text: str, command: str, source: str, layout: Layout) -> tuple[Meaning, str]:
    """Parse it by this release's rules."""
    try:
        parse_module(text, name=command, source=source)
    except ModuleError as error:
        fault = error.faults[0]
        # v0.3 and v0.4 parse rules as this release does: an invalid rule made the file invalid.
        is_rule = layout in ("v0.3", "v0.4") and fault.key.startswith(("deny", "allow"))
        return "skipped" if is_rule else "unclear", f"{fault.key}: {fault.problem}"
    return "used", ""


def _find_breakage(text: str | None) -> str:
    """Why no release could read a file, "" if they could."""
    if text is None:
        return "it is not UTF-8"
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        return f"not valid TOML: {error}"
    for table, keys in _KNOWN.items():
        inner = data.get(table, {})
        if not isinstance(inner, dict):
            return f"{table} is no table"
        for key, kind in keys.items():
            value = inner.get(key, kind())
            items = value.values() if isinstance(value, dict) else value
            is_right = type(value) is kind
            if is_right and kind in (list, dict):
                is_right = all(isinstance(each, str) for each in items)
            if not is_right:
                return f"[{table}] {key} has a value of another type"
    return "" if data.get("command", {}).get("bin") else "it has no [command] bin"


def _find_unknown(data: Mapping[str, object]) -> str:
    """The first table or key that no release had, as written; "" if none."""
    for table, inner in data.items():
        known = _KNOWN.get(table)
        if known is None or not isinstance(inner, dict):
            return table
        for key in inner:
            if key not in known:
                return f"[{table}] {key}"
    return ""


def _list_changes(data: Mapping[str, Mapping[str, list[str]]], layout: Layout) -> list[str]:
    """Rules that change their meaning: they were compared with whole arguments, anywhere."""
    changes = []
    rules = data.get("deny", {}).get("args", []) if layout in ("v0.1", "v0.2") else []
    for rule in rules:
        if " & " in rule or any(character in rule for character in "*?[{"):
            changes.append(f'the rule "{rule}" was this very text, and is a pattern or a set now')
        elif not rule.startswith("-"):
            changes.append(
                f'the rule "{rule}" refused this word anywhere, and refuses it no more where it '
                "may be the value of the flag before it"
            )
    return changes

"""What an override of an earlier release meant there, and the text that means the same here.

Each release used the built-in module where an override could not be read, and said so on stderr
only. Such a file must not begin to decide by an upgrade; one that did decide must not cease to.
"""

import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from airlock_daemon.migrate.layout import Layout
from airlock_daemon.setup.modules import give_box
from airlock_modules import ModuleError, is_name, parse_module

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
# Added by `airlock-daemon migrate`, since a command whose module names no box is refused. "home"
# keeps it working: it can read and send away every credential in your home. "closed" has none.
[sandbox]
box = "home"
"""


Meaning = Literal["used", "skipped", "unclear"]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """One file of `commands/`.

    It was `used`; or `skipped`, for the `reason`; or that cannot be told, or not be carried over,
    which is `unclear`. `text` is what means the same in this release; where `is_boxed` it names a
    box, without which this release refuses the command. `changes` say what a person should know
    who relies on it.
    """

    command: str
    meaning: Meaning
    reason: str = ""
    text: str = ""
    is_boxed: bool = False
    changes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Why it is not used, to be said after its name."""
        was = "has never been used" if is_name(self.command) else "is not used any more"
        return f"{was}, since {self.reason}"


def read_override(text: str | None, *, command: str, source: str, layout: Layout) -> Override:
    """Read the text of an override, None for one that is not UTF-8."""
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
    is_boxed = give_box(parse_module(after, name=command, source=source)).lacks_box
    return Override(
        command=command,
        meaning="used",
        text=after + _HOME if is_boxed else after,
        is_boxed=is_boxed,
        changes=tuple(changes),
    )


def _judge(data: Mapping[str, object], layout: Layout) -> tuple[Meaning, str]:
    """What a release made of tables and keys, and why it did not use them."""
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
    """Have this release read it."""
    try:
        parse_module(text, name=command, source=source)
    except ModuleError as error:
        fault = error.faults[0]
        # v0.3 and v0.4 read rules as this release does: an invalid one made the file invalid.
        is_rule = layout in ("v0.3", "v0.4") and fault.key.startswith(("deny", "allow"))
        return "skipped" if is_rule else "unclear", f"{fault.key}: {fault.problem}"
    return "used", ""


def _find_breakage(text: str | None) -> str:
    """Why no release could read a file, "" where it could."""
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
    """The first table or key that no release had, as it is written, "" for none."""
    for table, inner in data.items():
        known = _KNOWN.get(table)
        if known is None or not isinstance(inner, dict):
            return table
        for key in inner:
            if key not in known:
                return f"[{table}] {key}"
    return ""


def _list_changes(data: Mapping[str, Mapping[str, list[str]]], layout: Layout) -> list[str]:
    """Rules that mean something else: they were compared with whole arguments, wherever."""
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

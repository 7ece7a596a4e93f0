"""What a profile of v0.2 or v0.3 meant, as the airlock.toml that means the same."""

import tomllib
from collections.abc import Collection
from typing import Any

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.migrate.layout import Layout
from airlock_daemon.setup.writing import comment_out, format_array

_KEYS = ("commands", "env")


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """An airlock.toml, which `commands` it grants ([] for all), and what became different."""

    text: str
    commands: tuple[str, ...]
    variables: tuple[str, ...]
    changes: tuple[str, ...] = ()


def convert_profile(text: str, *, layout: Layout, known: Collection[str]) -> Converted:
    """Convert the text of profiles/NAME.toml; `known` are the commands that there are.

    Raises AirlockError where it cannot be told what it meant.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise AirlockError(
            f"not valid TOML: {error}", hint="mend that line, or move the file away"
        ) from error
    _refuse_unclear(data)
    variables = tuple(data.get("env", {}).get("set", {}))
    head = f"# Made by `airlock-daemon migrate` of a profile of {layout}.\n"
    body = text if not text or text.endswith("\n") else f"{text}\n"
    commands: list[str] | None = data.get("commands")
    if commands is None:
        if layout == "v0.3":
            raise AirlockError(
                f"has no commands, and {layout} did not start with it",
                hint='list what it may run, commands = ["git"], or move the file away',
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

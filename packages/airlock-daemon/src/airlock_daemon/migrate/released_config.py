"""What a config.toml of an earlier release meant, as one that means the same."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.migrate.layout import Layout
from airlock_daemon.setup.new_files import CONFIG
from airlock_daemon.setup.writing import comment_out, extend_array

_READ = {
    "commands": ("enable",),
    "daemon": ("log_level",),
    "log": ("path", "max_size_mb", "max_files"),
}
_LEVELS = ("debug", "info", "warning", "error")


class ConvertedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A config.toml, and what became different."""

    text: str
    changes: tuple[str, ...] = ()


def convert_config(text: str | None, *, layout: Layout, enable: Sequence[str]) -> ConvertedConfig:
    """Convert the text of config.toml, None for no file.

    `enable` are the commands that v0.1 and v0.2 ran without being told so; later ones have their
    own list. Raises AirlockError where the file is no TOML, or is not one that a program changes.
    """
    body = CONFIG if text is None else text
    try:
        data = tomllib.loads(body)
    except (ValueError, RecursionError) as error:
        raise AirlockError(
            f"not valid TOML: {error}", hint="mend that line, or move the file away"
        ) from error
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
    """The tables and keys that no release read, or this one not."""
    for table, inner in data.items():
        known = _READ.get(table)
        if known is None or (table == "commands" and not has_ceiling):
            yield (table,)
        elif isinstance(inner, dict):
            for key, value in inner.items():
                is_level = key != "log_level" or value in _LEVELS
                if key not in known or not is_level:
                    yield (table, key)

"""Reading `[git]` of a profile: granted repositories and refs."""

from collections.abc import Callable
from typing import TypeVar

from airlock_modules.files.toml_reader import TableReader
from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.grants import (
    GitGrant,
    Place,
    RefPattern,
    compile_option,
    compile_protection,
    default_refs,
    is_pattern,
    read_place,
)
from airlock_wire.text import quote

_PINNING = ("push", "fetch")
_KEYS = (*_PINNING, "refs", "protect", "delete", "push_options")
_PLACE_REMEDY = "write it like git@github.com/acme/* or https://example.com:8443/team/**"

T = TypeVar("T")


def names_git_grant(table: TableReader) -> bool:
    """Whether the table has any key about remotes."""
    return any(table.has(key) for key in _KEYS)


def read_git_grant(table: TableReader) -> GitGrant:
    """Read the remote keys of `[git]`; `table` records faults."""
    return GitGrant(
        push=_read_places(table, "push"),
        fetch=_read_places(table, "fetch"),
        is_pinned=any(table.has(key) for key in _PINNING),
        refs=_read_patterns(table, "refs", compiled=RefPattern.of, is_ref=True)
        if table.has("refs")
        else default_refs(),
        names_refs=table.has("refs"),
        protect=_read_patterns(table, "protect", compiled=compile_protection, is_ref=True),
        delete=table.boolean("delete", default=False),
        push_options=_read_patterns(table, "push_options", compiled=compile_option),
    )


def _read_places(table: TableReader, key: str) -> tuple[Place, ...]:
    def read(line: str) -> Place | None:
        try:
            return read_place(line)
        except RemoteError as error:
            table.fault(key, error.problem, _PLACE_REMEDY)
            return None

    return _read_each(table, key, read)


def _read_patterns(
    table: TableReader,
    key: str,
    *,
    compiled: Callable[[str], T],
    is_ref: bool = False,
) -> tuple[T, ...]:
    def read(text: str) -> T | None:
        if not is_pattern(text):
            problem = f"{quote(text, limit=80)} is no pattern: only * and ** are"
            table.fault(key, problem, "write it like refs/heads/agent/**")
        elif is_ref and not text.startswith("refs/"):
            problem = f"{quote(text, limit=80)} is no full name of a ref"
            table.fault(key, problem, f'write "refs/heads/{text}" or "refs/tags/{text}"')
        else:
            return compiled(text)
        return None

    return _read_each(table, key, read)


def _read_each(table: TableReader, key: str, read: Callable[[str], T | None]) -> tuple[T, ...]:
    found = (read(text) for text in table.strings(key))
    return tuple(each for each in found if each is not None)

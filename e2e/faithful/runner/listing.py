"""Reads `commands/*.toml`."""

import tomllib
from pathlib import Path

import msgspec

from e2e.faithful.runner.entry import Entry

FOLDER = Path(__file__).parent.parent / "commands"


class ListError(Exception):
    """A file of the list is not what it should be; says which and where."""


def read_commands(folder: Path = FOLDER) -> list[Entry]:
    """Return all entries, file by file; their ids get the file's name in front.

    Raises ListError.
    """
    entries: list[Entry] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            content = tomllib.loads(path.read_text())
            found = msgspec.convert(content, dict[str, list[Entry]])["command"]
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, KeyError) as error:
            raise ListError(f"{path.name}: {error}") from error
        entries += [msgspec.structs.replace(entry, id=f"{path.stem}/{entry.id}") for entry in found]
    return entries

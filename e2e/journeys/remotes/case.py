"""The table, commands.toml: what a git in a container does with its remotes."""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

TABLE = Path(__file__).parent / "commands.toml"


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the table.

    `run` is a script for sh; it stands in a clone of a repository of its own, a copy of `remote`,
    and ends with `status`. `shows` are words that it writes. With `refused` there is nothing to
    compare it with, as plain git would do it: those words come from Airlock, and the server's refs
    stay. `agent` says whose grant it has.
    """

    id: str
    run: str
    status: int = 0
    shows: str = ""
    refused: str = ""
    remote: Literal["plain", "picky", "empty", "sha256"] = "plain"
    agent: Literal["trusted", "careful"] = "trusted"


def read_table(path: Path = TABLE) -> list[Case]:
    """Return all cases. Raises msgspec.ValidationError, and tomllib.TOMLDecodeError."""
    return msgspec.convert(tomllib.loads(path.read_text()), dict[str, list[Case]])["command"]

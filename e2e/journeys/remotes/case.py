"""The table, commands.toml: what a git in a container does with its remotes."""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

TABLE = Path(__file__).parent / "commands.toml"
Transport = Literal["ssh", "https"]


class Difference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a case is otherwise over one transport; None where nothing is."""

    run: str | None = None
    status: int | None = None
    shows: str | None = None
    refused: str | None = None


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the table.

    `run` is a script for sh; it stands in a clone of a repository of its own, a copy of `remote`,
    and ends with `status`. `shows` are words that it writes. With `refused` there is nothing to
    compare it with, as plain git would do it: those words come from Airlock, and the server's refs
    stay. `agent` says whose grant it has, `https` what is otherwise over that. With `needs_shell`
    git itself runs sh for it, so that it is none for an image without one.
    """

    id: str
    run: str
    status: int = 0
    shows: str = ""
    refused: str = ""
    remote: Literal["plain", "picky", "empty", "sha256"] = "plain"
    agent: Literal["trusted", "careful"] = "trusted"
    needs_shell: bool = False
    https: Difference = Difference()

    def over(self, transport: Transport) -> "Case":
        """Return the case as it is over this transport."""
        if transport == "ssh":
            return self
        changes = msgspec.structs.asdict(self.https)
        return replace(self, **{name: new for name, new in changes.items() if new is not None})


def read_table(path: Path = TABLE) -> list[Case]:
    """Return all cases. Raises msgspec.ValidationError, and tomllib.TOMLDecodeError."""
    return msgspec.convert(tomllib.loads(path.read_text()), dict[str, list[Case]])["command"]

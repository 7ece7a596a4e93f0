"""Where a run takes place: one temporary directory, and the environment that everybody shares."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.faithful.runner.ways import UNBOXED
from e2e.world.installation import Installation

_DATE = "2024-02-29T12:00:00+00:00"
COMMIT_DATES = {"GIT_AUTHOR_DATE": _DATE, "GIT_COMMITTER_DATE": _DATE}
"""Variables of every client: the id of a commit is then the same in each run."""

DAEMONS = tuple(
    f"{prefix}{each}" for prefix in ("", UNBOXED) for each in ("descriptors", "streamed")
)
"""There is a daemon for each: how what is written gets to the client, and whether from a box."""

_GITCONFIG = """\
[user]
    name = A Person
    email = person@example.com
[init]
    defaultBranch = main
[advice]
    defaultBranchName = false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The directories of a run, all below one whose path is short enough for sockets.

    `workspaces` has a directory for each entry; `box` the shim under the names of all tools, by
    links that also lead there where the directory is mounted elsewhere; `tools` programs of the
    run's own in its `bin`, before those of the system; `home` is everybody's home; `airlock` has
    the daemons' files by name.
    """

    workspaces: Path
    box: Path
    tools: Path
    home: Path
    templates: Path
    servers: Path
    results: Path
    airlock: Mapping[str, Installation]

    @classmethod
    def make(cls, folder: Path) -> "Ground":
        """Make all of them below `folder`."""
        names = ("workspaces", "box", "tools", "home", "templates", "servers", "results")
        for name in names:
            (folder / name).mkdir()
        airlock = {each: Installation(folder / "airlock" / each) for each in DAEMONS}
        ground = cls(**{name: folder / name for name in names}, airlock=airlock)
        ground.servers.chmod(0o700)
        (ground.tools / "bin").mkdir()
        (ground.home / ".gitconfig").write_text(_GITCONFIG)
        return ground

    @property
    def search_path(self) -> str:
        """The PATH on which tools are found, directly and by the daemon."""
        return f"{self.tools}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of daemons and of clients, but for TERM."""
        return {
            "PATH": self.search_path,
            "HOME": str(self.home),
            "USER": "somebody",
            "LOGNAME": "somebody",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
        }

    def find(self, program: str) -> str | None:
        """Return the path of a program that a direct run would execute, or None."""
        return shutil.which(program, path=self.search_path)

    def install_shim(self, shim: Path, tools: Mapping[str, object]) -> None:
        """Put the shim into the box, under the names of `tools`."""
        shutil.copy(shim, self.box / "airlock-shim")
        links = self.box / "bin"
        links.mkdir()
        for name in tools:
            (links / name).symlink_to("../airlock-shim")

"""The accounts that the daemon runs as: root, and an ordinary user made for the run.

OpenSSH finds `~/.ssh` through the password database and not through HOME, so the ordinary user is a
real one whose home is a directory of the run. Root's real home is left alone: its HOME is another
directory of the run, and git is told which configuration file ssh shall read.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .command import run
from .engine import WORKER

USER = f"airlock-e2e-{WORKER}"

BOX_USER = "nobody"
"""Who is in the boxes of a daemon that is root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who the daemon runs as, with supplementary `groups`; `home` is a directory of the run."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path

    def environment(self, *, path: str) -> dict[str, str]:
        """Return the environment of a login of this account, with `path` as PATH."""
        return {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "LANG": "C.UTF-8",
            "PATH": path,
        }

    def own(self, path: Path) -> None:
        """Give `path` and all below it to this account."""
        os.chown(path, self.uid, self.gid)
        for folder, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.lchown(os.path.join(folder, name), self.uid, self.gid)

    def make_directory(self, path: Path, *, mode: int = 0o755) -> Path:
        """Make the directory `path`, which belongs to this account, and return it."""
        path.mkdir()
        path.chmod(mode)
        os.chown(path, self.uid, self.gid)
        return path

    def write(self, path: Path, text: str, *, mode: int = 0o644) -> Path:
        """Write `text` to the file `path`, which belongs to this account, and return its path."""
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.uid, self.gid)
        return path


def root(home: Path) -> Account:
    """Return the account that runs the tests, with `home` for its HOME."""
    account = Account(name="root", uid=0, gid=0, groups=(), home=home)
    account.make_directory(home, mode=0o700)
    return account


@contextmanager
def ordinary(home: Path) -> Iterator[Account]:
    """Make the user USER, a member of the group docker, for as long as the context lasts."""
    _remove_user()
    # The first ids are those of users that images have.
    ids = ("--key", "UID_MIN=1003", "--key", "GID_MIN=1003")
    home_options = ("--home-dir", str(home), "--no-create-home")
    run(("useradd", *ids, *home_options, "--groups", "docker", USER)).succeeded()
    try:
        entry = pwd.getpwnam(USER)
        account = Account(
            name=USER,
            uid=entry.pw_uid,
            gid=entry.pw_gid,
            groups=tuple(os.getgrouplist(USER, entry.pw_gid)),
            home=home,
        )
        account.make_directory(home, mode=0o700)
        yield account
    finally:
        _remove_user()


def _remove_user() -> None:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return
    # By force: a daemon that an earlier, killed run left behind may still use the account.
    run(("userdel", "--force", USER)).succeeded()

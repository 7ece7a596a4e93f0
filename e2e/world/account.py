"""The accounts that the daemon runs as: root, and an ordinary user created for the run.

OpenSSH finds `~/.ssh` through the password database, not HOME, so the ordinary user is a real one
whose home is a directory of the run. Root's real home is not touched: its HOME is another directory
of the run, and git gets the path of ssh's configuration file.
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
"""The user in the boxes of a root daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The daemon's user, with supplementary `groups`; `home` is a directory of the run."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: Path

    def environment(self, *, path: str) -> dict[str, str]:
        """Return this account's login environment, with `path` as PATH."""
        return {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "LANG": "C.UTF-8",
            "PATH": path,
        }

    def own(self, path: Path) -> None:
        """Change the owner of `path` and all below it to this account."""
        os.chown(path, self.uid, self.gid)
        for folder, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.lchown(os.path.join(folder, name), self.uid, self.gid)

    def make_directory(self, path: Path, *, mode: int = 0o755) -> Path:
        """Make the directory `path`, if there is none, owned by this account, and return it."""
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        os.chown(path, self.uid, self.gid)
        return path

    def write(self, path: Path, text: str, *, mode: int = 0o644) -> Path:
        """Write `text` to the file `path`, owned by this account, and return its path."""
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.uid, self.gid)
        return path


def root(home: Path) -> Account:
    """Return the account that runs the tests, with `home` as its HOME."""
    account = Account(name="root", uid=0, gid=0, groups=(), home=home)
    account.make_directory(home, mode=0o700)
    return account


@contextmanager
def ordinary(home: Path) -> Iterator[Account]:
    """Create the user USER, a member of the group docker; remove it at the end."""
    _remove_user()
    # Images have users with the first ids.
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
    # By force: a daemon left by an earlier, killed run may still use the account.
    run(("userdel", "--force", USER)).succeeded()

"""Rootless Podman, run by an account that exists only for the run."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .account import Account
from .command import Completed, run
from .engine import LABEL, WORKER, docker

USER = f"airlock-e2e-podman-{WORKER}"
_NEEDED = ("podman", "crun", "newuidmap", "fuse-overlayfs")
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

# Its own cgroup namespace, version 2 only and with a subtree delegated to the account, as for a
# systemd login: this host may be set up differently.
_ENTER = f"""
set -eu
mount --make-rshared /
umount --recursive /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
part=/sys/fs/cgroup/{USER}
mkdir -p $part/main
chown {USER} $part $part/main
chown {USER} $part/cgroup.procs $part/cgroup.subtree_control $part/main/cgroup.procs
echo $$ >$part/main/cgroup.procs
cd "$1"
shift
exec setpriv --reuid={USER} --regid={USER} --init-groups -- "$@"
"""


def why_not() -> str | None:
    """Return what is missing for it, or None."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    return f"{' and '.join(missing)} is not installed" if missing else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """Podman of `account`."""

    account: Account

    def run(self, *argv: str, cwd: str = "/") -> Completed:
        """Run a program as the account, to its end."""
        words = ("unshare", "--mount", "--propagation=private", "sh", "-c", _ENTER, "sh", cwd)
        return run((*words, *argv), env=self.account.environment(path=_PATH))

    def podman(self, *arguments: str) -> Completed:
        """Run podman to its end."""
        return self.run("podman", *arguments)

    def load(self, image: str) -> str:
        """Copy an image from Docker; return its name in Podman."""
        with tempfile.TemporaryDirectory(prefix="airlock-e2e-") as folder:
            os.chmod(folder, 0o755)
            archive = os.path.join(folder, "image.tar")
            docker("save", f"--output={archive}", image).succeeded()
            os.chmod(archive, 0o644)
            self.podman("load", "--quiet", f"--input={archive}").succeeded()
        return f"docker.io/{image}"

    @contextmanager
    def started(self, image: str, *options: str) -> Iterator[str]:
        """Run a container of `image` for the length of the context; yields its id."""
        words = ("run", "--detach", "--network=none", f"--label={LABEL}", *options, image)
        made = self.podman(*words).succeeded().stdout.splitlines()[-1]
        try:
            yield made
        finally:
            self.podman("rm", "--force", "--time=5", made).succeeded()


@contextmanager
def rootless(folder: Path) -> Iterator[Podman]:
    """Create the account, with a home below `folder`; remove everything at the end."""
    _remove()
    home = folder / "podman-home"
    run(("useradd", "--home-dir", str(home), "--no-create-home", USER)).succeeded()
    try:
        entry = pwd.getpwnam(USER)
        account = Account(
            name=USER, uid=entry.pw_uid, gid=entry.pw_gid, groups=(entry.pw_gid,), home=home
        )
        account.make_directory(home, mode=0o700)
        runtime = Path("/run/user") / str(account.uid)
        runtime.parent.mkdir(mode=0o755, exist_ok=True)
        account.make_directory(runtime, mode=0o700)
        podman = Podman(account=account)
        try:
            yield podman
        finally:
            podman.podman("system", "reset", "--force").succeeded()
            podman.podman("system", "migrate")
            shutil.rmtree(runtime, ignore_errors=True)
    finally:
        _remove()


def _remove() -> None:
    try:
        account = pwd.getpwnam(USER)
    except KeyError:
        return
    shutil.rmtree(f"/run/user/{account.pw_uid}", ignore_errors=True)
    run(("userdel", "--force", USER)).succeeded()

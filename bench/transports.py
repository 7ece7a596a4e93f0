"""The servers of the remotes, one per transport, and a git's settings to reach them."""

import contextlib
import json
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
from e2e.world.git_http import running_git_http
from e2e.world.sshd import configuration, running_sshd, why_not

from bench.errors import BenchError
from bench.figures import Goal, Unit, at_most

_USER = "bench"


class Transport(msgspec.Struct, frozen=True, kw_only=True):
    """One way to reach the repositories of this machine's server.

    `url` is the prefix of a repository's path. `plain` are the variables of a git with the
    credential; `through` returns those of a git that goes through the shim at a path, and creates
    that git's files next to the shim. `profile` grants everything there to an agent. `adds` is
    what the broker may add to a short conversation: a time, or a multiple of plain git's.
    """

    name: str
    url: str
    plain: Mapping[str, str]
    through: Callable[[Path], Mapping[str, str]]
    profile: str
    adds: tuple[Unit, Goal]


@contextlib.contextmanager
def _serve_ssh(folder: Path) -> Iterator[Transport]:
    reason = why_not()
    if reason is not None:
        raise BenchError(reason)
    with running_sshd(folder):
        ssh = f"ssh -F {configuration(folder)}"
        yield Transport(
            name="ssh",
            url="host:",
            plain={"GIT_SSH_COMMAND": ssh, "GIT_SSH_VARIANT": "ssh"},
            through=lambda shim: {"GIT_SSH_COMMAND": f"{shim} ssh", "GIT_SSH_VARIANT": "ssh"},
            profile='commands = ["git-remote"]\n[git]\npush = ["host/**"]\n'
            'refs = ["refs/heads/**"]\n'
            f"[env]\nset = {{ GIT_SSH_COMMAND = {json.dumps(ssh)} }}\n",
            adds=("ms", at_most(10)),
        )


@contextlib.contextmanager
def _serve_https(folder: Path) -> Iterator[Transport]:
    password = secrets.token_urlsafe(30)
    root = Path("/")
    with running_git_http(root, user=_USER, password=password, tls=folder) as server:
        accounts, settings = folder / "accounts", folder / "gitconfig"
        accounts.write_text(server.replace("://", f"://{_USER}:{password}@") + "\n")
        settings.write_text(
            f'[http "{server}"]\n\tsslCAInfo = {folder}/certificate.pem\n'
            f'[credential "{server}"]\n\thelper = store --file={accounts}\n'
        )
        humans = {"GIT_CONFIG_GLOBAL": str(settings)}
        place = server.removeprefix("https://")
        yield Transport(
            name="https",
            url=server,
            plain=humans,
            through=lambda shim: {"GIT_EXEC_PATH": str(_replace_helper(shim))},
            profile=f'commands = ["git-remote"]\n[git]\npush = ["{place}/**"]\n'
            'refs = ["refs/heads/**"]\n'
            f"[env]\nset = {{ GIT_CONFIG_GLOBAL = {json.dumps(str(settings))} }}\n",
            adds=("times", at_most(1.1)),
        )


def _replace_helper(shim: Path) -> Path:
    """Copy git's exec path with the shim as remote helper for URLs; return the copy."""
    asked = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    folder = shim.with_name("exec-path")
    folder.mkdir()
    for program in Path(asked.stdout.strip()).iterdir():
        is_helper = program.name == "git-remote-https"
        (folder / program.name).symlink_to(shim.resolve() if is_helper else program)
    return folder


Serve = Callable[[Path], contextlib.AbstractContextManager[Transport]]

SERVERS: Mapping[str, Serve] = {
    "ssh": _serve_ssh,
    "https": _serve_https,
}
"""The servers by name of the transport; each gets its own new directory."""

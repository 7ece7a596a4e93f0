"""A world whose agent reaches a git server over https by git-remote, and its human's settings."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from git_world import CLIENT
from https_server import GitServer, make_authority, serving

import elsewhere
from running import Daemon
from worlds import ANY_REF, World

ACCOUNT = ("bot", "sw0rdfish-CANARY")


class Site:
    """A git server, a human with an account there, and a container's git.

    `home` is the human's. `streamed` says how the client's git is connected.
    """

    def __init__(self, root: Path, server: GitServer) -> None:
        self.root = root
        self.server = server
        self.home = root / "home"
        self.home.mkdir()
        self.repository = server.root / "app.git"
        self.url = f"{server.url}/app.git"
        self.work = root / "work"
        self.streamed = False
        self.world = World(root / "airlock")
        # What this machine has for itself is not meant for the tests.
        self.environment = dict.fromkeys(("GIT_SSL_CAINFO", "https_proxy", "all_proxy"), "")
        self.daemon: Daemon
        (self.world.config / "config.toml").write_text(
            '[commands]\nenable = ["git-remote"]\n'
            f'[log]\npath = "{self.world.log}"\n[daemon]\npath = "/usr/bin:/bin"\n'
        )
        self.configure("http.sslCAInfo", str(root / "certificate.pem"))
        self.plain("init", "--quiet", "--bare", "-b", "main", str(self.repository), where=root)
        self.plain("init", "--quiet", "-b", "main", str(self.work), where=root)
        self.commit("one")
        self.plain("remote", "add", "origin", self.url)
        self._make_exec_path()

    def _make_exec_path(self) -> None:
        """What git has, but for the helper of URLs: that is the client."""
        real = Path(self.plain("--exec-path").stdout.strip())
        self.exec_path = self.root / "exec-path"
        self.exec_path.mkdir()
        for program in real.iterdir():
            (self.exec_path / program.name).symlink_to(program)
        for scheme in ("https", "http"):
            helper = self.exec_path / f"git-remote-{scheme}"
            helper.unlink()
            words = f"{sys.executable} {CLIENT} {self.world.socket} $STREAMED {scheme}"
            helper.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            helper.chmod(0o755)

    def configure(self, key: str, value: str) -> None:
        """Set something in the human's git, beside what is there."""
        self.plain(
            "config", "--file", str(self.home / ".gitconfig"), "--add", key, value, where=self.root
        )

    def store_account(self, password: str = ACCOUNT[1]) -> None:
        """Have the server ask for an account, and the human's git know it by a helper."""
        user = ACCOUNT[0]
        self.server.users[user] = password
        store = self.home / "accounts"
        store.write_text(self.server.url.replace("://", f"://{user}:{quote(password)}@") + "\n")
        self.configure(f"credential.{self.server.url}.helper", f"store --file={store}")

    def grant(self, lines: str = "") -> None:
        """Write the agent's profile: the server by name, and more of [git]."""
        place = self.server.url.removeprefix("https://")
        refs = "" if "refs = " in lines else ANY_REF
        self.world.write_profile(f'[git]\npush = ["{place}/**"]\n{refs}{lines}')

    @contextmanager
    def running(self) -> Iterator["Site"]:
        """Run the daemon."""
        environment = {"HOME": str(self.home), **self.environment}
        with Daemon(self.world, environment=environment) as daemon:
            self.daemon = daemon
            yield self

    @property
    def authorization(self) -> str:
        """What the server hears of who has the account."""
        return "Basic " + base64.b64encode(":".join(ACCOUNT).encode()).decode()

    def commit(self, text: str, *, size: int | None = None) -> None:
        """Add a commit with a file, of so many bytes that cannot be packed."""
        data = text.encode() if size is None else os.urandom(size)
        (self.work / text).write_bytes(data)
        self.plain("add", ".")
        self.plain("commit", "--quiet", "-m", text)

    def plain(
        self,
        *words: str,
        where: Path | None = None,
        more: Mapping[str, str] = {},
        text: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a git without the broker; `text` is its stdin."""
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words],
            cwd=where or self.work,
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), **more},
            capture_output=True,
            input=text,
            text=True,
            check=False,
        )

    def git(
        self, *words: str, where: Path | None = None, more: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        """Run the container's git."""
        variables = {
            "GIT_EXEC_PATH": str(self.exec_path),
            "STREAMED": str(int(self.streamed or elsewhere.is_wanted())),
        }
        return self.plain(*words, where=where, more={**variables, **more})

    @contextmanager
    def starting(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the container's git, in a process group of its own."""
        variables = {
            "GIT_EXEC_PATH": str(self.exec_path),
            "STREAMED": str(int(elsewhere.is_wanted())),
        }
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.root), **variables}
        with subprocess.Popen(
            ["git", *words], cwd=self.work, env=environment, process_group=0
        ) as process:
            yield process

    def refs(self) -> list[str]:
        """The refs that the server has."""
        words = ("for-each-ref", "--format=%(refname)")
        return self.plain(*words, where=self.repository).stdout.splitlines()


@contextmanager
def making_site(root: Path, *, is_secure: bool = True) -> Iterator[Site]:
    """A server that runs, and everything around it."""
    authority = make_authority(root)
    repositories = root / "repositories"
    repositories.mkdir()
    with serving(repositories, authority if is_secure else None) as server:
        yield Site(root, server)

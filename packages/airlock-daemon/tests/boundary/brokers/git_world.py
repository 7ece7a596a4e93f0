"""A world whose agent has git-remote alone, and a client's git that reaches a repository by it.

The program that is called ssh here runs the remote's command on this machine, and is the real one
where it is asked how it would reach a host (-G); conversations with a real sshd are among the
end-to-end tests.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import elsewhere
from running import Daemon
from worlds import World

# Runs its last word, as sshd does, and notes how it was called.
SSH = """#!/bin/sh
[ "$1" = -G ] && exec {real} "$@"
{ printf '%s\\n' "$@"; env; pwd; } >"{notes}"
for last; do :; done
exec sh -c "$last"
"""
# What git calls as its ssh: it passes its streams along with the request, or its stdin in messages.
CLIENT = Path(__file__).with_name("git_client.py")

# Whether a Match of ssh's configuration can look at what is run there.
KNOWS_COMMANDS = (
    shutil.which("ssh") is not None
    and not subprocess.run(
        ["ssh", "-F", "/dev/stdin", "-G", "host"],
        input=b"Match command x\n",
        capture_output=True,
        check=False,
    ).returncode
)


def make_world(root: Path) -> World:
    """The world, with `root`/notes for what ssh was called with."""
    world = World(root)
    programs = root / "bin"
    programs.mkdir()
    ssh = programs / "ssh"
    real = shutil.which("ssh") or "ssh"
    ssh.write_text(SSH.replace("{notes}", str(root / "notes")).replace("{real}", real))
    ssh.chmod(0o755)
    (world.config / "config.toml").write_text(
        '[commands]\nenable = ["git-remote"]\n'
        f'[log]\npath = "{world.log}"\n[daemon]\npath = "{programs}:/usr/bin:/bin"\n'
    )
    return world


class Remote:
    """A repository on this machine, and a client's git that reaches it through the daemon."""

    def __init__(self, world: World, daemon: Daemon) -> None:
        self.world = world
        self.daemon = daemon
        self.repository = world.root / "server.git"
        self.work = world.root / "work"
        self.streamed = False
        self.transport = "ssh"
        self.git("init", "--quiet", "--bare", "-b", "main", str(self.repository), where=world.root)
        self.git("init", "--quiet", "-b", "main", str(self.work), where=world.root)
        self.git("commit", "--quiet", "--allow-empty", "-m", "one")
        self.git("remote", "add", "origin", f"ssh://host{self.repository}")

    @property
    def notes(self) -> list[str]:
        """Words, variables and directory of the last ssh, a line each; none before there is one."""
        file = self.world.root / "notes"
        return file.read_text().splitlines() if file.exists() else []

    def git(
        self, *words: str, where: Path | None = None, more: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        """Run the client's git."""
        # A daemon without Linux's names takes no descriptors.
        streamed = int(self.streamed or elsewhere.is_wanted())
        client = f"{sys.executable} {CLIENT} {self.world.socket} {streamed} {self.transport}"
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words],
            cwd=where or self.work,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.world.root),
                "GIT_SSH_COMMAND": client,
                "GIT_SSH_VARIANT": "ssh",
                **more,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def refs(self) -> list[str]:
        """The refs that the remote has."""
        listed = self.git("for-each-ref", "--format=%(refname)", where=self.repository)
        return listed.stdout.splitlines()

"""A world whose `sh` runs in a closed box that may ask for git-remote, and a repository to reach.

The program that is called ssh here runs the remote's command on this machine (brokers/git_world);
conversations with real servers are among the end-to-end tests.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boxing import CLOSED, PYTHON, boxed_world
from running import Answer, Daemon
from worlds import ANY_REF, BOX_USER, World

SSH = """#!/bin/sh
[ "$1" = -G ] && exec {real} "$@"
for last; do :; done
exec sh -c "$last"
"""
HTTPS_SERVER = Path(__file__).parents[1] / "brokers/https_server.py"
CONFIG = """[commands]
enable = ["sh", "python", "git-remote"]
[log]
path = "{log}"
[daemon]
path = "{programs}:/usr/bin:/bin"
[sandbox]
user = "{user}"
{more}"""
GRANT = f'[git]\npush = ["host{{root}}/*"]\n{ANY_REF}protect = ["refs/heads/main"]\n'
BROKERS = 'brokers = ["git"]\n'
IDENTITY = "git config --global user.name a; git config --global user.email a@example.com; "


@contextmanager
def relay_world(more: str = "", *, box: str = BROKERS) -> Iterator[World]:
    """The world; `more` are further lines of `[sandbox]` of config.toml, `box` of the module."""
    with boxed_world() as world:
        programs = world.root / "bin"
        programs.mkdir()
        ssh = programs / "ssh"
        ssh.write_text(SSH.replace("{real}", shutil.which("ssh") or "ssh"))
        ssh.chmod(0o755)
        _write_config(world, programs, more)
        world.write_profile(
            "[workspace]\nhost = true\n" + GRANT.replace("{root}", str(world.root)),
            commands='["sh", "python", "git-remote"]',
        )
        (world.agent / "commands" / "git.toml").unlink()
        world.write_module("sh", "/bin/sh", CLOSED + box)
        world.write_module("python", PYTHON, CLOSED + 'sockets = "inet"\n' + box)
        server = world.root / "server.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", server], check=True)
        yield world


def _write_config(world: World, programs: Path, more: str) -> None:
    (world.config / "config.toml").write_text(
        CONFIG.format(
            log=world.log, programs=programs, user=BOX_USER if os.geteuid() == 0 else "", more=more
        )
    )


@contextmanager
def serving_urls(world: World) -> Iterator[tuple[str, dict[str, str]]]:
    """Serve the repositories over https, and grant them; with the variables of their human.

    Yields the address too.
    """
    home = world.root / "home"
    home.mkdir()
    with subprocess.Popen(
        [sys.executable, HTTPS_SERVER, home, "/", "bot", "password"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        # Leaving closes its stdin, at whose end it ends.
        assert server.stdout is not None
        site = server.stdout.readline().strip()
        account = site.replace("://", "://bot:password@")
        (home / "accounts").write_text(f"{account}\n")
        (home / ".gitconfig").write_text(
            f'[http "{site}"]\n\tsslCAInfo = {home}/certificate.pem\n'
            f'[credential "{site}"]\n\thelper = store --file={home}/accounts\n'
        )
        places = [f"host{world.root}/*", f"{site}{world.root}/*"]
        world.write_profile(
            f"[workspace]\nhost = true\n[git]\npush = {json.dumps(places)}\n{ANY_REF}",
            commands='["sh", "python", "git-remote"]',
        )
        # What this machine has for itself is not meant for the tests.
        own = dict.fromkeys(("GIT_SSL_CAINFO", "https_proxy", "all_proxy"), "")
        yield site, {"HOME": str(home), **own}


def in_box(daemon: Daemon, script: str, **more: object) -> Answer:
    """Run a script in the workspace, in a box."""
    return daemon.shell(IDENTITY + script, cwd=str(daemon.world.workspace), **more)


def refs(world: World) -> list[str]:
    """The refs of the remote."""
    words = ["git", "-C", str(world.root / "server.git"), "for-each-ref", "--format=%(refname)"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()

"""A forge with rules of its own: gitolite, behind a port of the server where no other command runs.

Its account may do everything there. It takes a leading slash, `.git`, `.git` with a digit and a
slash at the end for no part of a name, makes repositories of names that it does not know yet, and
has commands beside those of git.
"""

import os
import shutil
import subprocess
from pathlib import Path

from e2e.world.errors import BrokenError

_SHELL = Path("/usr/share/gitolite3/gitolite-shell")

SERVER = """\
Match LocalPort {port}
    ForceCommand HOME={home} exec perl {shell} client
"""
"""What the server's configuration ends with."""

_SETTINGS = """\
%RC = (UMASK => 0077, GIT_CONFIG_KEYS => '.*', LOG_DEST => 'repo-log',
    ROLES => {READERS => 1, WRITERS => 1},
    ENABLE => [qw(help desc info perms writable create fork D sskm symbolic-ref git-config)]);
1;
"""
_RULES = """\
repo gitolite-admin
    RW+ = client
repo acme/app acme/App acme/secret acme/{word}
    RW+ = client
repo acme/app
    config receive.advertisePushOptions = true
repo wild/[a-z/]+
    C = client
    RW+ = client
"""
_HOOK = "#!/bin/sh\n[ ${{GIT_PUSH_OPTION_COUNT:-0}} = 0 ] || : >{proof}/push-option\n"


def why_not() -> str | None:
    """Say why there can be no forge here, or None."""
    return None if _SHELL.exists() else "there is no gitolite (Debian: gitolite3)"


def write_server(home: Path, *, port: int) -> str:
    """The part of an sshd's configuration that serves the forge at its own port."""
    return SERVER.format(port=port, home=home, shell=_SHELL)


def make_forge(
    home: Path, *, key: Path, open_work: Path, work: Path, word: str, proof: Path
) -> None:
    """Make a forge in `home` whose account has the public `key`.

    acme/app has the branches of the repository `open_work`, all others those of `work`. One of them
    is called by `word`, which a list of all tells.
    """
    for made in ("conf", "logs"):
        (home / ".gitolite" / made).mkdir(parents=True)
    (home / ".gitolite.rc").write_text(_SETTINGS)
    (home / ".gitolite/conf/gitolite.conf").write_text(_RULES.format(word=word))
    shutil.copy(key, home / "client.pub")
    _run("gitolite", "setup", "-pk", f"{home}/client.pub", home=home)
    for repository in sorted(home.glob("repositories/**/*.git")):
        source = open_work if repository.name == "app.git" else work
        _run("git", "fetch", "--quiet", str(source), "refs/*:refs/*", home=home, at=repository)
    hook = home / "repositories/acme/app.git/hooks/pre-receive"
    hook.write_text(_HOOK.format(proof=proof))
    hook.chmod(0o755)


def _run(*argv: str, home: Path, at: Path | None = None) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "USER": "client"}
    done = subprocess.run(
        argv, cwd=at or home, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BrokenError(f"{argv[0]} {argv[1]} failed: {done.stderr}")

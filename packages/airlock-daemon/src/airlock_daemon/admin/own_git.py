"""The person's git, on repositories that others may have written.

It runs no hook, filter, helper or transport, whatever the repository's configuration says.
"""

import os
import subprocess

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.trust import Programs

_ANSWER_S = 60


class GitError(AirlockError):
    """Git has refused; `said` is the first line of its reason, which others may have written."""

    def __init__(self, said: str) -> None:
        super().__init__(
            "git has refused what it was asked", hint="look at the repository with git status"
        )
        self.said = said


def run_git(directory: str, *words: str, content: bytes = b"") -> bytes:
    """Run git in a directory, and return what it prints.

    `content` is its standard input. Raises GitError where it ends with another status than 0, and
    AirlockError where there is no git, or it does not end.
    """
    path = Programs.of(None, workspaces=(), warnings=[]).path
    program = Programs(path).find("git")
    if program is None:
        raise AirlockError("this needs git, and there is none on PATH", hint="install git")
    variables = {
        "PATH": path,
        "HOME": os.path.expanduser("~"),
        "LC_ALL": "C",
        # Without transports a partial clone fetches nothing, by any version of git. Unlike
        # protocol.allow this holds whatever the repository's own configuration says.
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    options = ("--no-pager", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
    try:
        done = subprocess.run(
            [program, *options, *words],
            cwd=directory,
            env=variables,
            input=content,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AirlockError(
            f"git fails in {directory}: {error}", hint="run git status there, and see what it says"
        ) from error
    if done.returncode != 0:
        raise GitError(done.stderr.decode("utf-8", "replace").strip().partition("\n")[0])
    return done.stdout

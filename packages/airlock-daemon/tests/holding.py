"""Boxes that hold credentials: their module, and the home from which those come."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from running import Daemon
from worlds import World

SECRET = "s3cr3t-value"
HOLDING = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\nprograms = ["*"]\n'


@contextmanager
def home_of_tools() -> Iterator[Path]:
    """The home of a daemon's user, with what tools keep there."""
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        home = Path(os.path.realpath(folder))
        home.chmod(0o700)
        (home / ".tool").mkdir()
        (home / ".tool" / "config").write_text(SECRET)
        (home / ".other").write_text("of another tool")
        yield home


def hold(world: World, lines: str, more: str = "") -> None:
    """Write the module of `sh`, with these lines of `[credentials]`."""
    world.write_module("sh", "/bin/sh", f"{HOLDING}{more}[credentials]\n{lines}\n")


def serve(world: World, home: Path, **environment: str) -> Daemon:
    """A daemon of the user whose home that is."""
    return Daemon(world, environment={"HOME": str(home), **environment})


def run(daemon: Daemon, script: str) -> str:
    """What a script says on both streams."""
    answer = daemon.shell(f"exec 2>&1; {script}", cwd="/workspace")
    assert "result" in answer.last, answer.last
    return answer.text()


def refusal(daemon: Daemon) -> tuple[str, str]:
    """The rule and the message of a command that is refused for its box."""
    error = daemon.shell("true", cwd="/workspace").error
    assert error["data"]["layer"] == "sandbox"
    assert "[credentials] of" in error["data"]["hint"]
    return error["data"]["rule"], error["message"]

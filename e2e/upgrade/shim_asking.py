"""What each shim is asked for, of any release, at whatever daemon."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from e2e.world.account import BOX_USER
from e2e.world.command import Completed, run
from e2e.world.installation import Installation

TOOLS = ("cat", "sh")
_MODULE = """
[command]
bin = "{name}"
[deny]
args = ["--force"]
{more}"""
NO_BOX = '[sandbox]\nbox = "none"\n'
"""The end of a module that a daemon of this release runs as all before it did."""
_BYTES = bytes(range(256)) * 400


def install_tools(folder: Path, *, more: str = "", knows_boxes: bool = True) -> Installation:
    """Make an installation for the agent `web`; `more` ends each of its modules.

    v0.4 takes no configuration that says who is in boxes.
    """
    installation = Installation(folder)
    user = f'[sandbox]\nuser = "{BOX_USER}"\n' if knows_boxes and os.geteuid() == 0 else ""
    installation.enable(TOOLS, more=user)
    modules: Mapping[str, str] = {name: _MODULE.format(name=name, more=more) for name in TOOLS}
    installation.add_agent("web", profile="commands = []\n", modules=modules)
    return installation


def find_wrong_answers(
    shim: Path, socket: Path, folder: Path, *, has_stdin: bool = True
) -> Iterator[str]:
    """Have a shim ask for output, stdin, statuses and refusals; yield the answers that are wrong.

    `folder` is empty. The base of the protocol has neither stdin nor the bytes of it.
    """

    def ask(tool: str, *args: str, stdin: bytes = b"") -> Completed:
        link = folder / tool
        if not link.is_symlink():
            link.symlink_to(shim)
        environment = {"AIRLOCK_SOCKET": str(socket), "PATH": os.defpath}
        return run((str(link), *args), stdin=stdin, cwd=str(folder), env=environment)

    for done, status, out, said in (
        (ask("cat", stdin=_BYTES), 0, _BYTES if has_stdin else b"", b""),
        (ask("sh", "-c", "echo one; echo two >&2; exit 7"), 7, b"one\n", b"two\n"),
        (ask("sh", "-c", "kill -9 $$"), 137, b"", b""),
        (ask("cat", "--force"), 126, b"", b"airlock: "),
        (ask("nosuch"), 127, b"", b"airlock: "),
    ):
        if (done.exit_code, done.out) != (status, out) or not done.err.startswith(said):
            yield str(done)

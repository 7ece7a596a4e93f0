"""One run of one entry on this host: started, talked to, and summed up."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from e2e.faithful.runner.conversation import Conversation
from e2e.faithful.runner.entry import Entry
from e2e.faithful.runner.result import Result
from e2e.faithful.runner.wiring import Wiring, said
from e2e.faithful.runner.workspace import survey

# The first to open a terminal in a session of its own gets it as its controlling terminal.
_START = '[ -z "$1" ] || exec 3<>"$1" 3>&-; shift; exec "$@" '


def perform(
    entry: Entry,
    argv: Sequence[bytes],
    *,
    cwd: Path,
    env: Mapping[str, str],
    patience: float,
    by_engine: bool = False,
) -> Result:
    """Run `argv` in `cwd`, connected as `entry` says, with `env` alone for its environment.

    `by_engine` says that it is the engine's client, with the command behind it. Raises Stuck when
    it does not end within `patience` seconds, and then ends its process group.
    """
    with (
        tempfile.TemporaryDirectory(prefix="airlock-faithful-") as folder,
        Wiring(entry, Path(folder)) as wiring,
    ):
        before = wiring.modes()
        stdin, stdout, stderr = wiring.given
        process = subprocess.Popen(
            [
                *(b"/bin/sh", b"-c", (_START + wiring.closings).encode(), b"sh"),
                wiring.terminal_name.encode(),
                *argv,
            ],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )
        try:
            wiring.start()
            conversation = Conversation(
                process, wiring, entry.talk, patience=patience, by_engine=by_engine
            )
            conversation.hold()
        finally:
            end(process)
        streams = {name: said(capture) for name, capture in conversation.captures.items()}
        return Result(
            status=shell_status(process.returncode),
            streams=streams | wiring.read_files(),
            leftovers=survey(cwd),
            position=wiring.position(),
            modes=(before, wiring.modes()) if before else None,
        )


def shell_status(returncode: int) -> int:
    """Return what a shell shows for a child that ended with `returncode`, as subprocess has it."""
    return returncode if returncode >= 0 else 128 - returncode


def end(process: subprocess.Popen[bytes]) -> None:
    """End a client, and what else is in its process group, if it still runs."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

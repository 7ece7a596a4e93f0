"""The suite as a daemon: the cases of a shim."""

import contextlib
import select
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from airlock_conformance.checks import Checks
from airlock_conformance.content import encode, substitute
from airlock_conformance.fake_daemon import FakeDaemon
from airlock_conformance.matching import differences
from airlock_conformance.shim_process import ShimProcess, linked
from airlock_conformance.shim_steps import take_step
from airlock_conformance.shim_streams import ShimStreams
from airlock_conformance.violation import Violation, require_none

_PREFIX = "airlock: "

SocketState = Literal["listening", "missing", "dead", "unmounted"]


def run_shim_case(
    body: Mapping[str, Any], executable: str, *, patience: float, checks: Checks | None = None
) -> None:
    """Call the shim as a case says, serve it by the steps, and require what the case expects.

    ``@cwd@`` in a case is the shim's working directory, ``@socket@`` its daemon's socket. Raises
    `Violation`.
    """
    # The path of a unix socket holds 107 bytes at most: pytest's own directories are too deep.
    with tempfile.TemporaryDirectory(prefix="airlock-") as name, contextlib.ExitStack() as stack:
        root = Path(name).resolve()
        directory = root / "work"
        directory.mkdir()
        state: SocketState = body.get("socket", "listening")
        path = root / ("none/daemon.sock" if state == "unmounted" else "daemon.sock")
        written = substitute(dict(body), {"cwd": str(directory), "socket": str(path)})
        listener = stack.enter_context(_socket_at(path, state=state))
        streams = ShimStreams(
            written.get("streams", {}), directory=root, content=encode(written.get("stdin", ""))
        )
        stack.callback(streams.close)
        link = stack.enter_context(linked(executable, written.get("command", "git"), root))
        environment = written.get("environment", {})
        shim = ShimProcess(
            link,
            [encode(argument) for argument in written.get("args", ())],
            socket=path,
            directory=directory,
            streams=streams,
            closed=written.get("closed", ()),
            ignored=written.get("ignored", ()),
            environment={key: encode(value) for key, value in environment.items()},
            patience=patience,
        )
        stack.callback(shim.close)
        daemon = FakeDaemon(listener, patience=patience, meanwhile=shim.take, checks=checks)
        stack.callback(daemon.close)
        for step in written.get("steps", ()):
            ((action, value),) = step.items()
            take_step(daemon, shim, streams, action, value, patience=patience)
        require_none(_result_differences(written["expect"], shim, streams))
        daemon.finish()
        if state == "listening" and select.select([listener], [], [], 0)[0]:
            raise Violation("the shim connected a second time: the command may have run by then")


def _result_differences(
    expect: Mapping[str, Any], shim: ShimProcess, streams: ShimStreams
) -> list[str]:
    found = differences(expect["status"], shim.status(), at="exit status")
    for name in ("stdout", "stderr", "terminal"):
        if name in expect:
            found += differences(encode(expect[name]), bytes(streams.output[name]), at=name)
    if "airlock" in expect:
        text = streams.output["stderr"].decode(errors="replace")
        found += differences(expect["airlock"], text, at="stderr")
        found += [
            f"stderr: a line of the shim's own without {_PREFIX!r}: {line!r}"
            for line in text.splitlines()
            if not line.startswith(_PREFIX)
        ]
    elif "stderr" not in expect:
        found += differences(b"", bytes(streams.output["stderr"]), at="stderr")
    if "stdin_position" in expect:
        found += differences(expect["stdin_position"], streams.position(), at="stdin position")
    if streams.terminal is not None and not streams.terminal.is_as_first():
        found.append("the terminal's settings are not those of before")
    return found


@contextlib.contextmanager
def _socket_at(path: Path, *, state: SocketState) -> Iterator[socket.socket]:
    """Yield a unix socket that listens at the path, or did (`dead`), or never has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        if state in ("listening", "dead"):
            listener.bind(str(path))
            listener.listen(1)
        if state == "dead":
            listener.close()
        yield listener

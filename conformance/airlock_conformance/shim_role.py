"""The suite as a daemon: the cases of a shim."""

import contextlib
import select
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from airlock_conformance.content import encode, substitute
from airlock_conformance.fake_daemon import FakeDaemon
from airlock_conformance.matching import differences
from airlock_conformance.shim_process import ShimProcess, linked
from airlock_conformance.violation import Violation, require_none

_PREFIX = "airlock: "

SocketState = Literal["listening", "missing", "dead"]


def run_shim_case(body: Mapping[str, Any], executable: str, *, patience: float) -> None:
    """Call the shim as a case says, serve it by the steps, and require what the case expects.

    ``@cwd@`` in a case is the shim's working directory, ``@socket@`` its daemon's socket. Raises
    `Violation`.
    """
    # The path of a unix socket holds 107 bytes at most: pytest's own directories are too deep.
    with tempfile.TemporaryDirectory(prefix="airlock-") as name, contextlib.ExitStack() as stack:
        root = Path(name).resolve()
        directory, path = root / "work", root / "daemon.sock"
        directory.mkdir()
        written = substitute(dict(body), {"cwd": str(directory), "socket": str(path)})
        state: SocketState = written.get("socket", "listening")
        listener = stack.enter_context(_socket_at(path, state=state))
        link = stack.enter_context(linked(executable, written.get("command", "git"), root))
        arguments = [encode(argument) for argument in written.get("args", ())]
        shim = ShimProcess(
            link,
            arguments,
            socket=path,
            directory=directory,
            closed=written.get("closed", ()),
            patience=patience,
        )
        stack.callback(shim.close)
        daemon = FakeDaemon(listener, patience=patience, meanwhile=shim.take)
        stack.callback(daemon.close)
        for step in written.get("steps", ()):
            ((action, value),) = step.items()
            _act(daemon, shim, action, value)
        require_none(_result_differences(written["expect"], shim))
        if state == "listening" and select.select([listener], [], [], 0)[0]:
            raise Violation("the shim connected a second time: the command may have run by then")


def _act(daemon: FakeDaemon, shim: ShimProcess, action: str, value: Any) -> None:
    match action:
        case "receive_request":
            daemon.receive_request(value)
        case "receive_bytes":
            daemon.receive_bytes(value)
        case "send":
            daemon.send(encode(value))
        case "send_each_byte":
            daemon.send_each_byte(encode(value))
        case "send_until_closed":
            daemon.send_until_closed(encode(value))
        case "close":
            daemon.close()
        case "await_close":
            daemon.await_close()
        case "await_stdout":
            shim.await_stdout(encode(value))
        case "close_stdout":
            shim.close_stdout()
        case "signal":
            shim.send_signal(value)
        case _:
            raise ValueError(f"{action} is no step of a shim case")


def _result_differences(expect: Mapping[str, Any], shim: ShimProcess) -> list[str]:
    found = differences(expect["status"], shim.status(), at="exit status")
    for name, number in (("stdout", 1), ("stderr", 2)):
        if name in expect:
            found += differences(encode(expect[name]), shim.output[number], at=name)
    if "airlock" in expect:
        text = shim.output[2].decode(errors="replace")
        found += differences(expect["airlock"], text, at="stderr")
        found += [
            f"stderr: a line of the shim's own without {_PREFIX!r}: {line!r}"
            for line in text.splitlines()
            if not line.startswith(_PREFIX)
        ]
    elif "stderr" not in expect:
        found += differences(b"", shim.output[2], at="stderr")
    return found


@contextlib.contextmanager
def _socket_at(path: Path, *, state: SocketState) -> Iterator[socket.socket]:
    """Yield a unix socket that listens at the path, or did (`dead`), or never has (`missing`)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        if state != "missing":
            listener.bind(str(path))
            listener.listen(1)
        if state == "dead":
            listener.close()
        yield listener

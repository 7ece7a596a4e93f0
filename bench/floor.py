"""The minimal cost of Python between shim and launcher: a daemon that decides nothing.

``floor.py --config D --sockets D --agents F start`` serves every registered agent. It passes a
request with its descriptors to the same launcher that Airlock uses, and answers. It has no policy,
no check of the client's identity or directory, no record and no trio: Airlock's time beyond it is
the cost of these, and its own time beyond a direct call cannot be saved by changing Airlock's
Python. It must be used for nothing else: it runs any requested command.
"""

import os
import select
import shutil
import socket
import struct
import sys
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

_ORDER = struct.Struct("<IIQ12I4Q")
_UNLIMITED = (1 << 64) - 1
# No kept descriptors, the launcher's own user and group, no fence, no cgroup and no limits.
_REST = (0, *[0xFFFFFFFF] * 3, *[0] * 6, *[_UNLIMITED] * 4)
_REPORT = struct.Struct("<cxxxi")
_ANSWER = (
    b'{"jsonrpc":"2.0","method":"start","params":{"features":["signals","exit-signal","fds"]}}\n'
    b'{"jsonrpc":"2.0","id":%d,"result":{"exit_code":%d}}\n'
)
_OPEN_FILES = 1024


class _Params(msgspec.Struct):
    command: str
    args: list[str] = []
    cwd: str = "/"


class _Request(msgspec.Struct):
    id: int
    params: _Params


class Floor:
    """Serves until it is killed. `environment` is the tools'."""

    def __init__(self, listeners: list[socket.socket], environment: Mapping[str, str]) -> None:
        self._listeners = {each.fileno(): each for each in listeners}
        self._environment = [f"{name}={value}" for name, value in environment.items()]
        self._programs: dict[str, str] = {}
        self._decode = msgspec.json.Decoder(_Request).decode
        self._clients: dict[int, socket.socket] = {}
        self._running: dict[int, tuple[socket.socket, socket.socket, int]] = {}
        self._idle: list[socket.socket] = []
        self._epoll = select.epoll()
        self._service = self._start_launcher()
        for number in self._listeners:
            self._epoll.register(number, select.EPOLLIN)

    def serve(self) -> None:
        """Serve forever."""
        while True:
            for number, _ in self._epoll.poll():
                if number in self._listeners:
                    client, _ = self._listeners[number].accept()
                    self._clients[client.fileno()] = client
                    self._epoll.register(client.fileno(), select.EPOLLIN)
                elif number in self._clients:
                    self._take(number)
                else:
                    self._end(number)

    def _take(self, number: int) -> None:
        client = self._clients.pop(number)
        self._epoll.unregister(number)
        data, passed, _, _ = socket.recv_fds(client, 65536, 3)
        if not data or len(passed) != len(("stdin", "stdout", "stderr")):
            for each in passed:
                os.close(each)
            client.close()
            return
        request = self._decode(data)
        directory = os.open(request.params.cwd, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        control = self._order(request.params, [directory, *passed])
        for each in (directory, *passed):
            os.close(each)
        self._running[control.fileno()] = (control, client, request.id)
        self._epoll.register(control.fileno(), select.EPOLLIN)

    def _order(self, what: _Params, descriptors: list[int]) -> socket.socket:
        program = self._programs.get(what.command)
        if program is None:
            program = self._programs[what.command] = shutil.which(what.command) or "/nonexistent"
        words = [program, what.command, *what.args, *self._environment, ""]
        strings = "\0".join(words).encode()
        counts = (len(what.args) + 1, len(self._environment))
        message = _ORDER.pack(*counts, _OPEN_FILES, 0, len(strings), *_REST) + strings
        if self._idle:
            control = self._idle.pop()
            socket.send_fds(control, [message], descriptors)
            return control
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(self._service, [message], [theirs.fileno(), *descriptors])
        theirs.close()
        return ours

    def _end(self, number: int) -> None:
        control, client, request = self._running.pop(number)
        self._epoll.unregister(number)
        kind, status = _REPORT.unpack(control.recv(_REPORT.size))
        client.sendall(_ANSWER % (request, os.waitstatus_to_exitcode(status)))
        client.close()
        if kind == b"R":
            self._idle.append(control)
        else:
            control.close()

    def _start_launcher(self) -> socket.socket:
        path = str(files("airlock_daemon").joinpath("_native/airlock-launch"))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        keep = theirs.fileno()
        # Duplicating a descriptor onto itself clears close-on-exec, in the child only.
        actions = [(os.POSIX_SPAWN_DUP2, keep, keep)]
        os.posix_spawn(path, [path, str(keep)], {}, file_actions=actions)
        theirs.close()
        return ours


def main(words: list[str]) -> None:
    """Serve the agents that the options name."""
    options = dict(zip(words[:-1:2], words[1::2], strict=False))
    sockets = Path(options["--sockets"])
    listeners = []
    for agent in tomllib.loads(Path(options["--agents"]).read_text()):
        (sockets / agent).mkdir(exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(sockets / agent / "airlock.sock"))
        listener.listen(4096)
        listeners.append(listener)
    Floor(listeners, os.environ).serve()


if __name__ == "__main__":
    main(sys.argv[1:])

"""The agent that holds the keys of git and ssh, asked as draft-ietf-sshm-ssh-agent says."""

import os
import socket
import struct
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.sockets import connect

VARIABLE = "SSH_AUTH_SOCK"

_ANSWER_S = 5
_REQUEST_IDENTITIES = struct.pack(">IB", 1, 11)
_IDENTITIES_ANSWER = 12
_HEADER = struct.Struct(">IBI")


def find_agent_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that the daemon has no agent, one that does not answer, or one without keys."""
    if not any(VARIABLE in module.inherit for module in around.list_modules()):
        return
    path = around.daemon_environment.get(VARIABLE)
    mine = around.environment.get(VARIABLE)
    again = "airlock-daemon init, from a shell that has it"
    if not path:
        problem = "is not set for the daemon: keys that have a passphrase cannot be used"
        yield _note(VARIABLE, problem, f"start ssh-agent, then: {again}")
        return
    count = count_keys(path)
    if count is None:
        problem = "is what the daemon has as SSH_AUTH_SOCK, and no agent answers there"
        yield Finding(path, "", problem, again, name="ssh-agent")
    elif count == 0:
        yield _note(path, "is an agent without keys", "ssh-add")
    if mine and os.path.realpath(mine) != os.path.realpath(path):
        problem = f"is the daemon's agent, and your shell has another one ({mine})"
        yield _note(path, problem, f"if it should be yours: {again}")


def _note(place: str, problem: str, remedy: str) -> Finding:
    return Finding(place, "", problem, remedy, name="ssh-agent", is_note=True)


def count_keys(path: str) -> int | None:
    """How many keys the agent at the socket `path` has; None where none answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_S)
        try:
            if not connect(connection, path):
                return None
            connection.sendall(_REQUEST_IDENTITIES)
            answer = connection.recv(_HEADER.size, socket.MSG_WAITALL)
            _, kind, count = _HEADER.unpack(answer)
        except (OSError, struct.error):
            return None
    return int(count) if kind == _IDENTITIES_ANSWER else None

"""How the shim finds the daemon, and its messages when there is none."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from fake_daemons import Ended, FakeDaemon, wait
from fake_messages import RESULT

# A script for a shell with mounts of its own: an empty /run with the daemon's folder in $0
# mounted at /run/airlock, then what it is given.
_MOUNT = 'mount -t tmpfs none /run && mkdir -p /run/airlock && mount --bind "$0" /run/airlock'

# The same folder elsewhere, and a link to its socket among the sockets of agents.
_MOVE = (
    "mkdir /run/other && mount --move /run/airlock /run/other && mkdir /run/airlock/sockets"
    " && ln -s /run/other/airlock.sock /run/airlock/sockets/my.sock"
)


def _run(daemon: FakeDaemon, unshare: Sequence[str], prepare: str, folder: Path) -> Ended:
    """Run a shim without AIRLOCK_SOCKET after `prepare`, with an answer if it connects."""
    wrapper = [*unshare, "sh", "-c", f'{prepare} && exec "$@"', str(folder)]
    return daemon.answer(RESULT, wrapper=wrapper, environment={"AIRLOCK_SOCKET": ""})


def _fail(daemon: FakeDaemon, unshare: Sequence[str], prepare: str, folder: Path) -> Ended:
    wrapper = [*unshare, "sh", "-c", f'{prepare} && exec "$@"', str(folder)]
    return wait(daemon.start(wrapper=wrapper, environment={}))


def _listen_nowhere(path: Path) -> None:
    """Leave a socket file at `path` without a listener."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(os.fspath(path))


@pytest.mark.parametrize(
    "prepare",
    ["ln -s /run/airlock/airlock.sock /run/docker-airlock.sock", "true", _MOVE],
    ids=["file", "directory", "sockets"],
)
def test_each_place_is_found(daemon: FakeDaemon, unshare: list[str], prepare: str) -> None:
    """Without AIRLOCK_SOCKET the well-known places are tried."""
    assert _run(daemon, unshare, f"{_MOUNT} && {prepare}", daemon.folder) == Ended(0, b"", "")


def test_first_place_that_is_there_counts(daemon: FakeDaemon, unshare: list[str]) -> None:
    """A socket that is there and dead is not passed over for the next."""
    _listen_nowhere(daemon.folder / "dead.sock")
    prepare = f"{_MOUNT} && ln -s /run/airlock/dead.sock /run/docker-airlock.sock"
    ended = _fail(daemon, unshare, prepare, daemon.folder)
    assert ended.status == 125
    assert ended.stderr.startswith(
        "airlock: cannot reach the daemon at /run/docker-airlock.sock: nobody listens there\n"
    )


def test_several_sockets_are_an_error(daemon: FakeDaemon, unshare: list[str]) -> None:
    """Which agent's socket is meant is not guessed."""
    prepare = (
        "mount -t tmpfs none /run && mkdir -p /run/airlock/sockets"
        " && touch /run/airlock/sockets/b.sock /run/airlock/sockets/a.sock"
    )
    ended = _fail(daemon, unshare, prepare, daemon.folder)
    assert ended.status == 125
    assert ended.stderr == (
        "airlock: several sockets are in /run/airlock/sockets: "
        "/run/airlock/sockets/a.sock, /run/airlock/sockets/b.sock\n"
        "airlock: hint: this container could act as any of these agents: mount only the directory "
        "of its own (docker run -v HOST_SOCKETS/AGENT:/run/airlock:ro); if all of them are meant, "
        "set AIRLOCK_SOCKET to one\n"
    )


def test_no_socket_anywhere_names_the_places(daemon: FakeDaemon, unshare: list[str]) -> None:
    """With nothing mounted, the error names all that was tried and what to mount."""
    ended = _fail(daemon, unshare, "mount -t tmpfs none /run", daemon.folder)
    assert ended.status == 125
    assert ended.stderr.startswith("airlock: no daemon's socket is here: there is no ")
    for place in ("/run/docker-airlock.sock", "/run/airlock/airlock.sock", "/run/airlock/sockets"):
        assert place in ended.stderr
    assert "hint: mount " in ended.stderr


@pytest.mark.parametrize("directory", ["/run/airlock", "/run/airlock/sockets"])
def test_directory_without_a_socket_is_a_stopped_daemon(
    daemon: FakeDaemon, unshare: list[str], directory: str
) -> None:
    """What is mounted already need not be mounted: the advice is to start the daemon."""
    prepare = f"mount -t tmpfs none /run && mkdir -p {directory}"
    ended = _fail(daemon, unshare, prepare, daemon.folder)
    said, advice = ended.stderr.splitlines()
    assert said == f"airlock: cannot reach the daemon: there is no socket in {directory}"
    assert "start it on the host (airlock start)" in advice
    assert "mount" not in advice


@pytest.mark.parametrize("names", [("my",), ("my", "other")])
def test_the_sockets_of_all_agents_are_a_mistake_that_is_told(
    daemon: FakeDaemon, unshare: list[str], names: tuple[str, ...]
) -> None:
    """The whole sockets directory at the place of one agent's: not a container that may stay."""
    for name in names:
        (daemon.folder / "all" / name).mkdir(parents=True)
        _listen_nowhere(daemon.folder / "all" / f"{name}.sock")
    mount = 'mkdir /run/airlock && mount --bind "$0/all" /run/airlock'
    ended = _fail(daemon, unshare, f"mount -t tmpfs none /run && {mount}", daemon.folder)
    assert ended.status == 125
    assert ended.stderr == (
        "airlock: the sockets of all agents are mounted at /run/airlock, so that this container "
        "could act as any of them\n"
        "airlock: hint: make the container again with the directory of its own agent alone "
        "(docker run -v HOST_SOCKETS/AGENT:/run/airlock:ro)\n"
    )


def test_dead_socket_that_was_mounted_by_itself_is_told(
    daemon: FakeDaemon, unshare: list[str]
) -> None:
    """It stays dead when the daemon has started again: the container must be made again."""
    _listen_nowhere(daemon.folder / "dead.sock")
    place = "/run/docker-airlock.sock"
    mount = f'touch {place} && mount --bind "$0/dead.sock" {place}'
    ended = _fail(daemon, unshare, f"mount -t tmpfs none /run && {mount}", daemon.folder)
    said, advice = ended.stderr.splitlines()
    assert said == f"airlock: cannot reach the daemon at {place}: nobody listens there"
    assert "made the socket anew since this file was mounted by itself" in advice
    assert "make the container again" in advice


def _explain(daemon: FakeDaemon, path: str) -> list[str]:
    """The lines that a shim says whose AIRLOCK_SOCKET is `path`."""
    ended = wait(daemon.start(environment={"AIRLOCK_SOCKET": path}))
    assert (ended.status, ended.stdout) == (125, b"")
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("airlock: hint: ")
    return lines


def test_missing_socket_is_told(daemon: FakeDaemon) -> None:
    """Where the directory is there, the path is named, and the daemon is what to start."""
    lines = _explain(daemon, f"{daemon.folder}/none.sock")
    assert lines[0] == (
        f"airlock: cannot reach the daemon at {daemon.folder}/none.sock: no such file or directory"
    )
    assert "the daemon is not running, its socket is another one, or it has no such " in lines[1]
    assert "start it on the host" in lines[1]
    assert "see there which agents it serves" in lines[1]
    assert "mount" not in lines[1]


def test_missing_directory_is_told(daemon: FakeDaemon) -> None:
    """Where not even the directory is there, it is what to mount."""
    lines = _explain(daemon, f"{daemon.folder}/none/airlock.sock")
    assert lines[0].endswith("/none/airlock.sock: no such file or directory")
    assert "nothing is mounted there: mount the agent's socket directory" in lines[1]


def test_dead_socket_is_told(daemon: FakeDaemon) -> None:
    """A socket without a listener is that of a daemon that was killed."""
    _listen_nowhere(daemon.folder / "dead.sock")
    lines = _explain(daemon, f"{daemon.folder}/dead.sock")
    assert lines[0].endswith("nobody listens there")
    assert "the daemon has ended: start it on the host" in lines[1]
    assert "mount" not in lines[1]


def test_directory_is_told(daemon: FakeDaemon) -> None:
    """A directory at the socket's path is what engines make of a missing mount source."""
    lines = _explain(daemon, str(daemon.folder))
    assert lines[0].endswith("it is a directory")
    assert "an engine makes a directory where a mounted socket is missing" in lines[1]
    assert "make the container again" in lines[1]


def test_forbidden_socket_is_told(daemon: FakeDaemon, unprivileged: list[str]) -> None:
    """A user who may not connect is sent to the socket's mode."""
    daemon.path.chmod(0o600)
    ended = wait(daemon.start(wrapper=unprivileged))
    assert ended.status == 125
    assert "permission denied\n" in ended.stderr
    assert "see socket_mode in the daemon's config.toml" in ended.stderr


def test_path_is_shown_safely(daemon: FakeDaemon) -> None:
    """The path is text from elsewhere, too."""
    lines = _explain(daemon, "/no\x1b[2J/\u202esocket")
    assert "/no\\x1b[2J/\\u{202e}socket" in lines[0]


@pytest.mark.parametrize("number", ["77", "x", "2"])
def test_a_relay_that_is_none_is_said(daemon: FakeDaemon, number: str) -> None:
    """Where it is set there is no other way, so that no socket is looked for."""
    ended = wait(daemon.start(environment={"AIRLOCK_RELAY": number}))
    assert ended.status == 125
    why = "the descriptor is no such socket" if number == "2" else "the descriptor is closed"
    first, hint = ended.stderr.splitlines()
    assert first == f"airlock: no relay of a box is at the number in AIRLOCK_RELAY: {why}"
    assert hint.endswith("anywhere else unset it")

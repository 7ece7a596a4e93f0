"""Descriptors that are passed to tools: which are taken, and what becomes of the others."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import shared_fixtures
from running import Daemon, read_answer, request
from talking import ALL, Pipes, Talk
from worlds import World

pytestmark = [
    pytest.mark.usefixtures("inside"),
    pytest.mark.linux_only("elsewhere no descriptor is taken"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One world for all tests here."""
    return World(tmp_path_factory.mktemp("passing"))


daemon = shared_fixtures.one_daemon


def open_descriptors(daemon: Daemon) -> int:
    """How many descriptors the daemon has."""
    if os.geteuid() != 0:
        pytest.skip("a daemon keeps itself to itself, and only root may look into it")
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def are_closed(daemon: Daemon, before: int) -> bool:
    """Whether the daemon comes back to `before` descriptors; some are closed a little later."""
    deadline = time.monotonic() + 20
    while open_descriptors(daemon) > before:
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def test_null_is_the_hosts(daemon: Daemon) -> None:
    """The client's /dev/null is looked at by name only, so the tool gets another."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        script = "test /proc/self/fd/0 -ef /dev/null && cat && echo gone"
        with Talk(daemon, script, ALL, descriptors=[null] * 3) as talk:
            assert talk.result == {"exit_code": 0}
    finally:
        os.close(null)


def master_of_a_terminal() -> int:
    master, slave = os.openpty()
    os.close(slave)
    return master


def process_descriptor() -> int:
    return os.pidfd_open(os.getpid())


@pytest.mark.parametrize("make", [master_of_a_terminal, process_descriptor])
def test_other_kinds_are_refused_and_closed(daemon: Daemon, make: Callable[[], int]) -> None:
    """Beside those of the conformance suite."""
    before = open_descriptors(daemon)
    made = make()
    reading, writing = os.pipe()
    ends = [reading, made, writing]
    try:
        with Talk(daemon, "echo ran >&2", ALL, descriptors=ends) as talk:
            assert talk.error["data"]["kind"] == "invalid-request"
        assert talk.output["stderr"] == b""
    finally:
        for descriptor in ends:
            os.close(descriptor)
    assert are_closed(daemon, before)


def test_a_forged_terminal_is_not_passed(daemon: Daemon, tmp_path: Path) -> None:
    """A file that is called like a terminal in another mount namespace is not taken for one."""
    helper = tmp_path / "helper.py"
    helper.write_text(
        "import ctypes, os, platform, socket, sys\n"
        "os.makedirs('/mnt/dev/pts')\n"
        "open('/mnt/dev/pts/7', 'w').write('content')\n"
        "os.makedirs('/mnt/old')\n"
        "os.chdir('/mnt')\n"
        "pivot_root = {'x86_64': 155, 'aarch64': 41}[platform.machine()]\n"
        "assert ctypes.CDLL(None).syscall(pivot_root, b'.', b'old') == 0\n"
        "fd = os.open('/dev/pts/7', os.O_RDWR)\n"
        "s = socket.socket(fileno=int(sys.argv[1]))\n"
        "socket.send_fds(s, [bytes.fromhex(sys.argv[2])], [fd] * 3)\n"
    )
    line = request("sh", "-c", "cat; echo tool", features=["fds", "base64"])
    connection = daemon.connect()
    with closing(connection):
        unshared = subprocess.run(
            [
                *("unshare", "-rm", "sh", "-c"),
                'mount -t tmpfs none /mnt && exec "$@"',
                *("sh", "/usr/bin/env", "python3", str(helper)),
                *(str(connection.fileno()), line.hex()),
            ],
            pass_fds=[connection.fileno()],
            capture_output=True,
            check=False,
        )
        if unshared.returncode:
            pytest.skip(f"no namespaces here: {unshared.stderr.decode()[-200:]}")
        answer = read_answer(connection)
    assert answer.messages[0]["params"]["features"] == ["base64"]
    assert answer.text() == "tool\n"


def test_streaming_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pass_descriptors = false all output goes through the daemon."""
    world = World(tmp_path)
    world.write_config("[daemon]\npass_descriptors = false\n")
    monkeypatch.chdir(world.workspace)
    with Daemon(world) as daemon, Pipes() as pipes:
        with Talk(daemon, "echo hi", ALL, descriptors=pipes.passed) as talk:
            assert "fds" not in talk.start()["features"]
            assert talk.result["exit_code"] == 0
        assert talk.output["stdout"] == b"hi\n"
        pipes.let_go()
        assert pipes.read(1) == b"", "nobody holds what was not used"

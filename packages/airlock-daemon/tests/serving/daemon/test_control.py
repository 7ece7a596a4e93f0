"""Attacks on the control socket: each tries to approve the agent's own question.

Each is tried with all walls, with each wall alone, and with none, when it must succeed.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence

import pytest

from approving import control_path, wait_for_questions
from running import Daemon, read_answer, request
from worlds import World

PROFILE = '[workspace]\nhost = true\n[approve]\nrequire = ["run sh ** asked"]\n'

# What switches a wall off, in the daemon.
OFF = {
    "descent": "control.refuse_own = lambda *_: None",
    "container": """
        def identify(plain, credentials):
            return Peer(pid=credentials.pid, uid=credentials.uid, kind="local")
        control.identify = identify
        """,
    "uid": """
        real = control.peer_credentials
        def claim(plain):
            return Credentials(real(plain).pid, os.geteuid())
        control.peer_credentials = claim
        """,
    "mode": "control._MODE = 0o666",
    "pidfd": "peer.peer_pidfd = lambda _: None",
}
DAEMON = """
import os
from airlock_daemon.admin.cli import main
from airlock_daemon.boundary.identity import peer
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.platform.linux.processes import Credentials
from airlock_daemon.serving.daemon import control
"""

# Sends a line to a socket; the answer goes to a file, or with "-" to stdout.
TALK = """
import socket, sys
path, line, answer = sys.argv[1:4]
try:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(line.encode())
        said = connection.makefile().readline()
except OSError as error:
    said = error.strerror
with sys.stdout if answer == "-" else open(answer, "w") as file:
    file.write(said)
"""

# Before the same: become another user, who may see this process's own /proc.
ANOTHER = """
import ctypes, os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)
"""

# The same in a process whose pid is another one's by the time that the daemon looks.
REUSE = """
import os, socket, sys
path, line, answer, go, gone = sys.argv[1:]
open(go).read()
connection = socket.socket(socket.AF_UNIX)
made = os.fork()
if not made:
    connection.connect(path)
    os._exit(0)
os.waitpid(made, 0)
connection.sendall(line.encode())
with open(gone, "w") as told:
    told.write(str(made))
with open(answer, "w") as file:
    file.write(connection.makefile().readline())
"""

# Makes a process with a chosen pid, by clone3(2).
CLONE = """
import ctypes, os, signal, struct, sys
wanted = ctypes.c_int(int(sys.argv[1]))
fields = struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1, 0)
libc = ctypes.CDLL(None, use_errno=True)
made = libc.syscall(435, fields, len(fields))
if made < 0:
    sys.exit(f"clone3: {os.strerror(ctypes.get_errno())}")
if not made:
    os.execv("/bin/sleep", ["sleep", "60"])
"""

NAMESPACES = ("unshare", "--pid", "--fork", "--mount", "--mount-proc")


class Attacker:
    """A daemon with an open question, and the line that approves it."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.root = daemon.world.root
        self.control = control_path(daemon.world)
        self.answer = self.root / "answer"
        (question,) = wait_for_questions(daemon.world)
        names = ("id", "digest", "waiting")
        self.line = json.dumps({"type": "Approve"} | {name: question[name] for name in names})
        self.line += "\n"

    def words(self, script: str = TALK, *, path: str = "", answer: str = "") -> list[str]:
        """The command that sends the line."""
        named = (path or self.control, self.line, answer or str(self.answer))
        return [sys.executable, "-c", script, *named]

    def ask(self, script: str, *words: str) -> None:
        """Have the agent run a script without a box."""
        self.daemon.ask("sh", "-c", script, "sh", *words)


def command(attacker: Attacker) -> None:
    """A command of the agent."""
    attacker.ask('exec "$@"', *attacker.words())


def orphan(attacker: Attacker) -> None:
    """The same in a session of its own, whose parents have ended."""
    over = attacker.root / "over"
    os.mkfifo(over)
    attacker.ask(
        'over=$1; shift; ( setsid "$@" 9>"$over" & ); cat "$over"', str(over), *attacker.words()
    )


def hook(attacker: Attacker) -> None:
    """A hook, which runs as the daemon's user."""
    (attacker.root / "attack").write_text(shlex.join(attacker.words()))
    attacker.daemon.shell("true")


def container(attacker: Attacker) -> None:
    """A process in namespaces of its own that has the state directory mounted."""
    subprocess.run([*NAMESPACES, *attacker.words()], check=True)


def container_of_host_pids(attacker: Attacker) -> None:
    """The same with the host's processes (docker run --pid=host)."""
    subprocess.run(["unshare", "--mount", *attacker.words()], check=True)


def passed(attacker: Attacker) -> None:
    """A container that has no such directory, and was passed a descriptor of the socket's file."""
    file = os.open(attacker.control, os.O_PATH)
    hide = 'mount -t tmpfs none "$0" && exec "$@"'
    words = attacker.words(path=f"/proc/self/fd/{file}")
    folder = os.path.dirname(attacker.control)
    try:
        subprocess.run([*NAMESPACES, "sh", "-c", hide, folder, *words], check=True, pass_fds=[file])
    finally:
        os.close(file)


def stranger(attacker: Attacker) -> None:
    """Another user's process, which was passed the same."""
    file = os.open(attacker.control, os.O_PATH)
    words = attacker.words(ANOTHER + TALK, path=f"/proc/self/fd/{file}", answer="-")
    try:
        done = subprocess.run(words, check=True, pass_fds=[file], stdout=subprocess.PIPE)
    finally:
        os.close(file)
    attacker.answer.write_bytes(done.stdout)


def reused(attacker: Attacker) -> None:
    """A command's process that ends once it is connected, and whose pid a stranger gets."""
    go, gone = attacker.root / "go", attacker.root / "gone"
    os.mkfifo(go)
    os.mkfifo(gone)
    with attacker.daemon.connect() as connection:
        words = [*attacker.words(REUSE), str(go), str(gone)]
        connection.sendall(request("sh", "-c", 'exec "$@"', "sh", *words))
        start = go.open("w")
        with attacker.daemon.suspended():
            start.close()
            pid = gone.read_text()
            subprocess.run([sys.executable, "-c", CLONE, pid], check=True)
        try:
            read_answer(connection)
        finally:
            os.kill(int(pid), signal.SIGKILL)


Attack = Callable[[Attacker], None]
WALLS: dict[Attack, tuple[str, ...]] = {
    command: ("descent",),
    orphan: ("descent",),
    hook: ("descent",),
    container: ("container",),
    container_of_host_pids: ("container",),
    passed: ("container",),
    stranger: ("mode", "uid"),
    reused: ("pidfd",),
}
# What no system but Linux can hold off: SECURITY.md.
NOT_ELSEWHERE = {
    orphan: "elsewhere one that left its session is nobody's",
    container_of_host_pids: "elsewhere containers are in a virtual machine",
    reused: "elsewhere a pid is all that is known of a client",
}
FOR_ROOT = (container, container_of_host_pids, passed, stranger, reused)


def attack(world: World, by: Attack, *, off: Sequence[str] = ()) -> bool:
    """Whether an attack approves the question, with these walls off."""
    if by in FOR_ROOT and os.geteuid() != 0:
        pytest.skip("it takes root to be a container, another user, or a pid")
    without = "".join(textwrap.dedent(f"{OFF[wall]}\n") for wall in off)
    program = ("-c", f"{DAEMON}{without}main()\n") if off else ()
    world.write_profile(PROFILE)
    if by is hook:
        world.write_hook("pre-exec", f"cd {world.root}; [ ! -e attack ] || . ./attack")
    with Daemon(world, program=program) as daemon, daemon.connect() as waiting:
        waiting.sendall(request("sh", "-c", "echo done", "asked"))
        attacker = Attacker(daemon)
        by(attacker)
        if json_type(attacker.answer.read_text()) == "Answered":
            assert read_answer(waiting).text() == "done\n"
            return True
        assert len(wait_for_questions(world)) == 1
    return False


def json_type(text: str) -> str:
    """The type of a message of the daemon, or the text that is none."""
    return str(json.loads(text)["type"]) if text.startswith("{") else text


@pytest.mark.parametrize(
    "by",
    [
        pytest.param(by, marks=pytest.mark.linux_only(NOT_ELSEWHERE[by]))
        if by in NOT_ELSEWHERE
        else by
        for by in WALLS
    ],
    ids=lambda by: by.__name__,
)
def test_nothing_but_a_person_answers(world: World, by: Attack) -> None:
    """The question stays open."""
    assert not attack(world, by)


@pytest.mark.linux_only("the walls that are off are those of Linux")
@pytest.mark.parametrize("by", WALLS, ids=lambda by: by.__name__)
def test_without_the_walls_an_attack_answers(world: World, by: Attack) -> None:
    """So that the test above shows something."""
    assert attack(world, by, off=WALLS[by])


@pytest.mark.linux_only("the walls that are off are those of Linux")
@pytest.mark.parametrize("wall", WALLS[stranger])
def test_each_wall_stops_another_user(world: World, wall: str) -> None:
    """The file's mode and the kernel's word for the peer, each without the other."""
    assert not attack(world, stranger, off=[each for each in WALLS[stranger] if each != wall])

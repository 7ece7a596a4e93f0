"""Descriptors that are not what git passes, and clients that leave at each step."""

import ctypes
import fcntl
import mmap
import os
import pty
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.push import CAPABILITIES, EMPTY_PACK, FLUSH, one_push, update
from e2e.canary.scene import Scene, hear
from e2e.world.client import Client
from e2e.world.errors import BrokenError

_SERVICES = ("git-upload-pack", "git-receive-pack")
_PUSH = ("ssh", "forge", "git-receive-pack '<open>/app.git'")

Make = Callable[[ExitStack], int]


def _keep(stack: ExitStack, number: int) -> int:
    stack.callback(os.close, number)
    return number


def _pipe(
    stack: ExitStack, *, end: int, flags: int = 0, size: int = 0, is_closed: bool = False
) -> int:
    """One end of a new pipe, whose other end stays open here unless it `is_closed`."""
    ends = os.pipe2(flags)
    if size:
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, size)
    if is_closed:
        os.close(ends[1 - end])
    else:
        _keep(stack, ends[1 - end])
    return _keep(stack, ends[end])


def _reopened(stack: ExitStack, mode: int) -> int:
    return _keep(stack, os.open(f"/proc/self/fd/{_pipe(stack, end=0)}", mode))


def _socket(stack: ExitStack) -> int:
    one, other = socket.socketpair()
    stack.enter_context(other)
    return stack.enter_context(one).fileno()


def _terminal(stack: ExitStack) -> int:
    controller, terminal = pty.openpty()
    _keep(stack, controller)
    return _keep(stack, terminal)


KINDS: dict[str, Make] = {
    "the end to write": partial(_pipe, end=1),
    "the end to write of a pipe that nobody reads": partial(_pipe, end=1, is_closed=True),
    "the end to read": partial(_pipe, end=0),
    "a pipe at its end": partial(_pipe, end=0, is_closed=True),
    "a pipe that does not block": partial(_pipe, end=0, flags=os.O_NONBLOCK),
    "a pipe of packets": partial(_pipe, end=0, flags=os.O_DIRECT),
    "a pipe of one page": partial(_pipe, end=0, size=4096),
    "a pipe to read and write": partial(_reopened, mode=os.O_RDWR | os.O_NONBLOCK),
    "the name of a pipe": partial(_reopened, mode=os.O_PATH),
    "a file in memory": lambda stack: _keep(stack, os.memfd_create("x")),
    "a directory": lambda stack: _keep(stack, os.open("/", os.O_RDONLY)),
    "the name of a directory": lambda stack: _keep(stack, os.open("/", os.O_PATH)),
    "an eventfd": lambda stack: _keep(stack, os.eventfd(1)),
    "/dev/null": lambda stack: _keep(stack, os.open("/dev/null", os.O_RDWR)),
    "/dev/zero": lambda stack: _keep(stack, os.open("/dev/zero", os.O_RDWR)),
    "a socket": _socket,
    "a terminal": _terminal,
}


def pass_kind(
    scene: Scene, words: tuple[str, ...], *, make: Make, at: int, agent: str, command: str
) -> bytes:
    """Pass such a descriptor as stdin (0), stdout (1), stderr (2) or all (3), and hang up."""
    with ExitStack() as stack, scene.connect(agent) as client:
        numbers = [make(stack) if at in (place, 3) else -1 for place in range(3)]
        for place in (0, 1, 2):
            if numbers[place] < 0:
                numbers[place] = _pipe(stack, end=int(place > 0), is_closed=place == 0)
        client.send(scene.request(words, "fds", "stdin", "base64", command=command), numbers)
        client.half_close()
        # What nobody will ever read or end is waited for by the daemon as long as its client stays.
        client.socket.settimeout(0.1)
        with suppress(BrokenError):
            return hear(client)
        return b""


def _share(scene: Scene, *, service: str) -> bytes:
    """One pipe for everything: what the remote says comes back as what the client says."""
    with ExitStack() as stack, scene.connect("pinned") as client:
        ends = os.pipe()
        numbers = [_keep(stack, end) for end in (ends[0], ends[1], os.dup(ends[1]))]
        words = ["ssh", "forge", f"{service} '<open>/app.git'"]
        client.send(scene.request(words, "fds"), numbers)
        client.socket.settimeout(0.1)
        with suppress(BrokenError):
            return hear(client)
        return b""


def _divide(scene: Scene, *, piece: int) -> bytes:
    """Two pushes that read one pipe: what was judged in one must not be what the other sends."""
    with ExitStack() as stack:
        stdin = os.pipe()
        clients = []
        for _ in range(2):
            client = stack.enter_context(scene.connect("pinned"))
            words = ["ssh", "forge", "git-receive-pack '<open>/app.git'"]
            answers = [_pipe(stack, end=1) for _ in range(2)]
            client.send(scene.request(words, "fds"), [stdin[0], *answers])
            clients.append(client)
        os.close(stdin[0])
        says = one_push("refs/heads/free", old="<zero>") + one_push("refs/heads/main")
        view = memoryview(scene.fill_bytes(says))
        with suppress(BrokenPipeError):
            for at in range(0, len(view), piece):
                os.write(stdin[1], view[at : at + piece])
        os.close(stdin[1])
        return b"\n".join(map(hear, clients))


def _push(
    scene: Scene, client: Client, stack: ExitStack, words: tuple[str, ...] = _PUSH
) -> tuple[int, int]:
    """Ask for a push; returns the client's end of its stdin, and that of its stdout."""
    stdin, stdout = os.pipe(), os.pipe()
    client.send(scene.request(words, "fds"), (stdin[0], stdout[1], _pipe(stack, end=1)))
    for number in (stdin[0], stdout[1]):
        os.close(number)
    return stdin[1], stdout[0]


def _leave(scene: Scene, *, says: bytes, awaits: bool) -> bytes:
    """Hang up when this was said; `awaits` first takes what the remote says at the beginning."""
    with ExitStack() as stack, scene.connect("pinned") as client:
        stdin, stdout = _push(scene, client, stack)
        for number in (stdin, stdout):
            _keep(stack, number)
        seen = os.read(stdout, 65536) if awaits else b""
        with suppress(BrokenPipeError):
            os.write(stdin, scene.fill_bytes(says))
        return seen


def change(
    scene: Scene, *, agent: str = "pinned", words: tuple[str, ...] = _PUSH, first: bytes = b""
) -> bytes:
    """Say a list that stands in memory of the client's, which turns one ref into the other.

    `first` is said before, and answered.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    says = scene.fill_bytes(one_push("refs/heads/free", old="<zero>"))
    at = says.index(b"free")
    with mmap.mmap(-1, mmap.PAGESIZE) as memory:
        memory[: len(says)] = says
        piece = (ctypes.c_char * len(says)).from_buffer(memory)
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(piece), len(says))
        with ExitStack() as stack, scene.connect(agent) as client:
            stdin, stdout = _push(scene, client, stack, words)
            _keep(stack, stdout)
            if first:
                os.write(stdin, first)
                os.read(stdout, 1)
            # The pipe now holds these pages themselves, not what stood in them (vmsplice(2)).
            if libc.vmsplice(stdin, vector, 1, 0) != len(says):
                raise OSError(ctypes.get_errno(), "vmsplice")
            os.close(stdin)
            while not client.has_news():
                memory[at : at + 4] = b"main" if memory[at : at + 4] == b"free" else b"free"
            seen = hear(client)
        del piece
    return seen


_STEPS = {
    "nothing was said": b"",
    "half a length": b"00",
    "half a line": one_push("refs/heads/free", old="<zero>")[:50],
    "a list without its end": update("refs/heads/free", old="<zero>", says=CAPABILITIES),
    "half a pack": one_push("refs/heads/free", old="<zero>")[:-12],
    "a list that is refused": update("refs/heads/main", says=CAPABILITIES) + FLUSH,
    "half of a refused pack": update("refs/heads/main", says="") + FLUSH + EMPTY_PACK[:8],
    "what is no list": b"x" * 1000,
}
PLACES = {"stdin": 0, "stdout": 1, "stderr": 2, "everything": 3}
UNREADABLE = ("the end to write of a pipe that nobody reads", "the name of a pipe")


def _attacks() -> Iterator[Attack]:
    for kind, make in KINDS.items():
        for where, at in PLACES.items():
            service = _SERVICES[at == 0 or kind in UNREADABLE]
            words: tuple[str, ...] = ("ssh", "forge", f"{service} '<open>/app.git'")
            run = partial(
                pass_kind, words=words, make=make, at=at, agent="pinned", command="git-remote"
            )
            works = kind in UNREADABLE and where == "stdin"
            yield Attack(f"{kind} as {where}", "streams", run, works)
            words = ("forge", "cat")
            run = partial(pass_kind, words=words, make=make, at=at, agent="session", command="ssh")
            yield Attack(f"{kind} as {where} of a session", "streams", run)
    for service in _SERVICES:
        run = partial(_share, service=service)
        yield Attack(f"one pipe for {service}", "streams", run)
    for piece in (1, 4, 17, 116, 1000):
        run = partial(_divide, piece=piece)
        yield Attack(f"two pushes on one pipe, {piece} bytes at a time", "lists", run)
    for number in range(10):
        yield Attack(f"memory that changes under a list, {number}", "lists", change)
    for step, says in _STEPS.items():
        for awaits in (False, True):
            run = partial(_leave, says=says, awaits=awaits)
            name = f"gone after {step}{', having read' if awaits else ''}"
            yield Attack(name, "streams", run)


FAMILY = Family("streams", tuple(_attacks()))

"""What changes while a push is read and judged: its streams, its grant, those beside it."""

import fcntl
import os
import signal
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.meanwhile import meanwhile
from e2e.canary.push import CAPABILITIES, EMPTY_PACK, FLUSH, one_push, packet, update
from e2e.canary.scene import Scene, hear
from e2e.canary.world import GRANTS
from e2e.world.client import Client
from e2e.world.errors import PATIENCE_S, BrokenError
from e2e.world.lines import make_message

_APP = "git-receive-pack '<open>/app.git'"
_TICK_S = 0.002
_MAIN = one_push("refs/heads/main")
_FREE = one_push("refs/heads/free", old="<zero>")
_HALF = len(_MAIN) // 2


class _Push:
    """A push that has begun: the daemon has sent what its remote says first.

    `reading` is the client's copy of the end that it has passed as its stdin.
    """

    def __init__(
        self, scene: Scene, stack: ExitStack, *features: str, agent: str = "pinned"
    ) -> None:
        self._scene = scene
        self.client: Client = stack.enter_context(scene.connect(agent))
        stdin, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
        line = scene.request(["ssh", "forge", _APP], "fds", *features)
        self.client.send(line, (stdin[0], stdout[1], stderr[1]))
        for number in (stdout[1], stderr[1]):
            os.close(number)
        for number in (stdin[0], stdout[0], stderr[0]):
            stack.callback(os.close, number)
        self.reading, self._writing, self._answers = stdin[0], stdin[1], stdout[0]
        self.seen = os.read(self._answers, 65536)

    def say(self, data: bytes, *, piece: int = 65536) -> None:
        filled = self._scene.fill_bytes(data)
        with suppress(BrokenPipeError):
            for at in range(0, len(filled), piece):
                os.write(self._writing, filled[at : at + piece])

    def await_taken(self) -> None:
        """Wait until nothing of what was said stands in the pipe any more."""
        left = bytearray(4)
        _await(lambda: fcntl.ioctl(self.reading, termios.FIONREAD, left) == 0 and not any(left))

    def end(self) -> bytes:
        """End what is said; returns all that the client has seen."""
        os.close(self._writing)
        self.seen += hear(self.client)
        os.set_blocking(self._answers, False)
        with suppress(BlockingIOError):
            while data := os.read(self._answers, 65536):
                self.seen += data
        return self.seen


def _await(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > until:
            raise BrokenError("what an attack awaits does not come about")
        time.sleep(_TICK_S)


def _append(scene: Scene, *, first: bytes) -> bytes:
    """Say another list when the one before it has been judged and passed on."""
    with ExitStack() as stack:
        push = _Push(scene, stack)
        push.say(first)
        push.await_taken()
        push.say(_MAIN)
        return push.end()


def _steal(scene: Scene, *, most: int) -> bytes:
    """Read the same pipe as the daemon, so that nobody knows what it gets of two pushes."""
    with ExitStack() as stack:
        push = _Push(scene, stack)
        os.set_blocking(push.reading, False)
        with meanwhile(lambda: os.read(push.reading, most), pause=lambda: 0):
            push.say((_FREE + _MAIN) * 20, piece=37)
            return push.end()


def _alter(scene: Scene, *, how: Callable[[int], object]) -> bytes:
    """Change the pipe that the daemon reads, while it does."""
    with ExitStack() as stack:
        push = _Push(scene, stack)
        with meanwhile(partial(how, push.reading), pause=lambda: 0):
            push.say(_MAIN, piece=5)
            return push.end()


def _flip(flag: int) -> Callable[[int], object]:
    def flip(number: int) -> None:
        for added in (flag, 0):
            fcntl.fcntl(number, fcntl.F_SETFL, os.O_RDONLY | added)

    return flip


def _resize(number: int) -> None:
    for size in (4096, 1 << 20):
        fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, size)


def _crowd(scene: Scene, *, agents: tuple[str, ...]) -> bytes:
    """Push at once, what is granted and what is not, on connections of their own."""
    words = ("ssh", "forge", _APP)
    with ThreadPoolExecutor(max_workers=8) as pool:
        futures = [
            pool.submit(scene.converse, agent, words, says=says)
            for _ in range(2)
            for agent in agents
            for says in (_FREE, _MAIN)
        ]
        return b"\n".join(future.result() for future in futures)


def _widen(scene: Scene, *, back: int) -> bytes:
    """Have the grant changed by its human when all but so many bytes of a push were said."""
    world, wide = scene.world, GRANTS["deep"]
    with ExitStack() as stack:
        push = _Push(scene, stack, agent="turning")
        filled = scene.fill_bytes(_MAIN)
        push.say(filled[:-back])
        push.await_taken()
        world.grant("turning", wide)
        try:
            _reload(scene)
            push.say(filled[-back:])
            return push.end()
        finally:
            world.grant("turning", GRANTS["turning"])
            _reload(scene)


def _narrow(scene: Scene) -> bytes:
    """Say a list when its human has taken away the grant under which the push began."""
    world = scene.world
    world.grant("turning", GRANTS["deep"])
    _reload(scene)
    with ExitStack() as stack:
        push = _Push(scene, stack, agent="turning")
        world.grant("turning", GRANTS["turning"])
        _reload(scene)
        push.say(_MAIN)
        return push.end()


def _reload(scene: Scene) -> None:
    before = scene.world.log.read_bytes().count(b'"event":"reload"')
    os.kill(scene.daemon.pid, signal.SIGHUP)
    _await(lambda: scene.world.log.read_bytes().count(b'"event":"reload"') > before)


def _signal(scene: Scene, *, name: str, said: int) -> bytes:
    """Send the remote's program a signal in the middle of a list."""
    with ExitStack() as stack:
        push = _Push(scene, stack, "signals")
        filled = scene.fill_bytes(_MAIN)
        push.say(filled[:said])
        push.await_taken()
        push.client.send(make_message("signal", name=name))
        push.say(filled[said:])
        return push.end()


def _ask_twice(scene: Scene) -> bytes:
    """Make another request, with other streams, on a connection that has one."""
    with ExitStack() as stack:
        push = _Push(scene, stack)
        ends = os.pipe()
        for number in ends:
            stack.callback(os.close, number)
        os.write(ends[1], scene.fill_bytes(_MAIN))
        line = scene.request(["ssh", "forge", _APP], "fds")
        with suppress(OSError):
            push.client.send(line, (ends[0], ends[1], ends[1]))
        push.say(_FREE)
        return push.end()


_FIRST = {
    "an empty one": FLUSH,
    "one of shallow lines": packet(b"shallow <base>") + FLUSH,
    "a granted one": update("refs/heads/free", old="<zero>", says=CAPABILITIES) + FLUSH,
    "a granted one and half its pack": _FREE[:-6],
    "a granted push": _FREE,
    "one with options": update("refs/heads/free", old="<zero>", says="push-options") + FLUSH,
    "a refused one": _MAIN[: -len(EMPTY_PACK)],
}
_ALTER = {
    "whether it blocks": _flip(os.O_NONBLOCK),
    "whether it is one of packets": _flip(os.O_DIRECT),
    "whether it tells by a signal": _flip(os.O_ASYNC),
    "its size": _resize,
}
# Bytes that are left to be said.
_BACK = {
    "in the middle of a list": len(EMPTY_PACK) + 100,
    "before the end of a list": len(EMPTY_PACK) + len(FLUSH),
    "between list and pack": len(EMPTY_PACK),
    "in the middle of a pack": len(EMPTY_PACK) // 2,
}


def _attacks() -> Iterator[Attack]:
    for name, first in _FIRST.items():
        yield Attack(f"another list behind {name}", "lists", partial(_append, first=first))
    for most in (1, 16, 200):
        name = f"{most} bytes at a time stolen from the daemon"
        yield Attack(name, "lists", partial(_steal, most=most))
    for name, how in _ALTER.items():
        yield Attack(f"a pipe that changes {name}", "refs", partial(_alter, how=how), True)
    for agents in (("pinned",), ("pinned", "narrow"), ("pinned", "reader")):
        run = partial(_crowd, agents=agents)
        yield Attack(f"pushes at once of {' and '.join(agents)}", "refs", run, True)
    for where, back in _BACK.items():
        run = partial(_widen, back=back)
        yield Attack(f"a wider grant {where}", "refs", run, True)
    yield Attack("a narrower grant before the list", "refs", _narrow, works_without=True)
    for name in ("SIGCONT", "SIGHUP", "SIGINT", "SIGTERM", "SIGTSTP", "SIGWINCH", "SIGKILL"):
        for said in (0, _HALF):
            run = partial(_signal, name=name, said=said)
            yield Attack(f"{name} after {said} bytes of a list", "refs", run)
    yield Attack("two requests on one connection", "streams", _ask_twice)


FAMILY = Family("races", tuple(_attacks()))

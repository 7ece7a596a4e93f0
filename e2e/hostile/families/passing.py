"""Descriptors that must not be passed: of the wrong kind, number, place or request."""

import os
import sys
from contextlib import ExitStack
from functools import partial

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.hostile.descriptors import UNWANTED, make_pipe, open_descriptors, open_null, open_unwanted
from e2e.hostile.standing import stand
from e2e.hostile.world import HOSTILE
from e2e.world.client import Client
from e2e.world.errors import BrokenError, NotHereError
from e2e.world.lines import make_message, make_request, make_script

_REFUSED = -32600
_PLACES = ("stdin", "stdout", "stderr")


def _pass_unwanted(scene: Scene, *, kind: str, place: int) -> None:
    with open_unwanted(kind) as descriptor, ExitStack() as stack:
        passed = open_descriptors(stack, 3)
        passed[place] = descriptor
        mark = scene.daemon.world.workspace / "mark"
        with scene.connect() as client:
            line = make_script("touch mark", "fds", cwd="/workspace")
            try:
                client.send(line, passed)
            except OSError as error:
                # Linux 6.7 and newer pass no io_uring.
                raise NotHereError(f"the kernel passes no {kind}") from error
            client.await_error(_REFUSED)
            client.await_end()
        if mark.exists():
            raise BrokenError("the command ran all the same")


def _pass_number(scene: Scene, *, count: int) -> None:
    with ExitStack() as stack, scene.connect() as client:
        client.send(make_request("true", features=["fds"]), open_descriptors(stack, count))
        client.await_error(_REFUSED)
        client.await_end()


def pass_without_asking(scene: Scene) -> None:
    """Descriptors with a request that does not use them are refused."""
    for request in (
        make_request("true"),
        make_request("true", features=[]),
        make_request("true", features=["stdin", "base64"]),
        make_request("true", features=["fds"], method="check"),
        make_request("true", method="check"),
    ):
        _pass_three(scene, request)


def pass_with_no_request(scene: Scene) -> None:
    """Nor do they stay open when what they ride on is no request."""
    for line in (b"nonsense\n", b"[]\n", b"\n", make_request("sudo", features=["fds"])):
        with ExitStack() as stack, scene.connect() as client:
            client.send(line, open_descriptors(stack, 3))
            client.await_response()
            client.await_end()


def pass_and_leave(scene: Scene) -> None:
    """Descriptors on a request that never ends are closed with its connection."""
    for length in (1, 2, 20):
        for _ in range(50):
            with ExitStack() as stack, scene.connect() as client:
                client.send(
                    make_request("true", features=["fds"])[:length], open_descriptors(stack, 3)
                )


def pass_on_each_later_byte(scene: Scene) -> None:
    """Descriptors ride on the first byte of the request line or are refused."""
    line = make_request("true", features=["fds"])
    for position in range(1, len(line)):
        with ExitStack() as stack, scene.connect() as client:
            client.send(line[:position])
            client.send(line[position:], open_descriptors(stack, 3))
            client.await_error(_REFUSED)


def pass_twice(scene: Scene) -> None:
    """A second set is refused, wherever it comes."""
    line = make_script("echo up; sleep 600", "fds", "signals")
    for position in (1, len(line) // 2, len(line) - 1):
        with ExitStack() as stack, scene.connect() as client:
            passed = open_descriptors(stack, 3)
            client.send(line[:position], passed)
            client.send(line[position:], passed)
            client.await_error(_REFUSED)


def pass_while_it_runs(scene: Scene) -> None:
    """A command is ended when its client sends descriptors later."""
    for features in (("signals",), ("fds", "signals"), ("stdin", "base64", "signals")):
        for message in (make_message("signal", name="SIGWINCH"), b"\n", b"{"):
            with ExitStack() as stack, scene.connect() as client:
                reading, writing = make_pipe(stack)
                passed = [open_null(stack), writing, writing] if "fds" in features else []
                client.send(make_script("echo up; sleep 600", *features), passed)
                _await_up(client, reading, passed=bool(passed))
                client.send(message, open_descriptors(stack, 3))
                client.await_error(_REFUSED)


def pass_many_on_every_message(scene: Scene) -> None:
    """However many come, none stays open."""
    for _ in range(20):
        with ExitStack() as stack, scene.connect() as client:
            passed = open_descriptors(stack, 253)
            client.send(make_request("true", features=["fds"])[:1], passed)
            for _ in range(20):
                if not client.send(b" ", passed):
                    break


def pass_the_connection_itself(scene: Scene) -> None:
    """A connection that holds itself is closed like any other."""
    for _ in range(20):
        with scene.connect() as client:
            own = [client.socket.fileno()] * 3
            client.send(make_request("true", features=["fds"]), own)
            client.await_error(_REFUSED)


def pass_null_that_is_none(scene: Scene) -> None:
    """/dev/null as a mere place, not opened, harms nobody."""
    descriptor = os.open(os.devnull, os.O_PATH)
    try:
        with scene.connect() as client:
            client.send(make_request("true", features=["fds"]), [descriptor] * 3)
            client.await_response()
    finally:
        os.close(descriptor)


def _pass_dead_file(scene: Scene, *, name: str) -> None:
    """To ask a file of the client's own file system anything, or to close it, may take for ever."""
    _stand(scene, "dead_files", name)


def _pass_held_pipe(scene: Scene, *, line: bytes) -> None:
    """So may whatever needs the lock of a pipe that is read into such a file."""
    _stand(scene, "held_pipes", line.decode())


def move_a_held_page_on(scene: Scene) -> None:
    """So may the reader of such a page in a pipe: no tool moves the page on to the daemon."""
    fifo = scene.daemon.world.workspace / "fifo"
    os.mkfifo(fifo)
    script = f"exec {sys.executable} -c 'import os; os.splice(0, 1, 4096)' <>fifo 2>&1"
    with stand(scene, "held_pages", str(fifo)), scene.connect() as client:
        client.send(make_script(script, cwd="/workspace"))
        client.await_output("Invalid argument")


def _stand(scene: Scene, module: str, what: str) -> None:
    with stand(scene, module, str(scene.daemon.world.socket(HOSTILE)), what):
        scene.note_request()


def _pass_three(scene: Scene, line: bytes) -> None:
    with ExitStack() as stack, scene.connect() as client:
        client.send(line, open_descriptors(stack, 3))
        client.await_error(_REFUSED)
        client.await_end()


def _await_up(client: Client, reading: int, *, passed: bool) -> None:
    client.await_start()
    if not passed:
        client.await_output("up")
    elif os.read(reading, 3) != b"up\n":
        raise BrokenError("the tool did not write to what was passed")


FAMILY = make_family(
    "passing",
    "descriptors that must not be passed",
    *(
        Attack(f"{kind} as {name}", partial(_pass_unwanted, kind=kind, place=place))
        for kind in UNWANTED
        for place, name in enumerate(_PLACES)
    ),
    *(
        Attack(f"{count} descriptors", partial(_pass_number, count=count))
        for count in (1, 2, 4, 5, 64, 250, 253)
    ),
    *(
        Attack(f"dead file of the name {name}", partial(_pass_dead_file, name=name))
        for name in ("/dev/null", "/dev/other")
    ),
    *(
        Attack(f"pipe whose lock is held, {name}", partial(_pass_held_pipe, line=line))
        for name, line in (
            ("denied", make_request("sudo", features=["fds"])),
            ("no exec", make_request("true", method="check")),
            ("of a command that ends at once", make_request("true", features=["fds"])),
            ("of a command that writes", make_script("echo x", "fds", "signals")),
        )
    ),
    pass_without_asking,
    pass_with_no_request,
    pass_and_leave,
    pass_on_each_later_byte,
    pass_twice,
    pass_while_it_runs,
    pass_many_on_every_message,
    pass_the_connection_itself,
    pass_null_that_is_none,
    move_a_held_page_on,
)

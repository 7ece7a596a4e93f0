"""Leaving: hanging up, or closing one half, at every point of a session."""

import select
from functools import partial
from pathlib import Path

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.world.client import Client
from e2e.world.errors import PATIENCE_S, BrokenError
from e2e.world.lines import make_message, make_request, make_script

_LINE = make_request("true", request_id=1)
_LONG_SCRIPT = "echo up; sleep 600"
_FOREST = 100_000

# A session step by step: its request, and what the client says once the command has said "up".
_FEATURES = ("base64", "stdin", "signals", "exit-signal")
_STEPS = (
    make_message("stdin", data="some\n"),
    make_message("stdin", data="L3c=", encoding="base64"),
    make_message("signal", name="SIGWINCH"),
    make_message("stdin", eof=True),
    make_message("signal", name="SIGUSR1"),
)


def hang_up_at_each_byte(scene: Scene) -> None:
    """A request that is cut off anywhere is recorded, and runs to its end or not at all."""
    for length in range(1, len(_LINE) + 1):
        with scene.connect() as client:
            client.send(_LINE[:length])


def half_close_at_each_byte(scene: Scene) -> None:
    """A client that sends no more is told what is wrong, or gets its result."""
    for length in range(1, len(_LINE) + 1):
        with scene.connect() as client:
            client.send(_LINE[:length])
            client.half_close()
            if length < len(_LINE):
                client.await_error(-32700)
            else:
                client.await_result()


def connect_and_leave(scene: Scene) -> None:
    """A connection on which nothing is said is nothing, however it ends."""
    for number in range(200):
        with scene.connect() as client:
            if number % 2:
                client.half_close()
                client.await_end()


def leave_with_output_unread(scene: Scene) -> None:
    """The command ends with its client, also when it waits for somebody to read."""
    for script in (
        "cat /dev/zero",
        "cat /dev/urandom >&2",
        "yes & yes >&2",
        "head -c 9000000 /dev/zero",
    ):
        with scene.connect() as client:
            client.send(make_script(script))
            client.take(1)


def leave_a_command_behind(scene: Scene) -> None:
    """All that a command started ends, wherever it has hidden."""
    for script in (
        _LONG_SCRIPT,
        "trap '' HUP INT TERM; echo up; while :; do sleep 1; done",
        "sleep 600 & sleep 600 & echo up; wait",
        "setsid sleep 600 & echo up; wait",
        "(setsid sh -c '(setsid sleep 600) & sleep 600' &) ; echo up; sleep 600",
        "nohup sleep 600 >/dev/null 2>&1 & echo up; sleep 600",
    ):
        with scene.connect() as client:
            client.send(make_script(script))
            client.await_output("up")


def leave_children_after_the_result(scene: Scene) -> None:
    """What a command leaves behind when it ends itself ends with it."""
    for script in ("sleep 600 &", "setsid sleep 600 & :", "(trap '' HUP; sleep 600) >/dev/null &"):
        with scene.connect() as client:
            client.send(make_script(script))
            client.await_result()
            client.await_end()


def half_close_and_wait(scene: Scene) -> None:
    """A client that will send no more is still there."""
    with scene.connect() as client:
        client.send(make_script("echo one; sleep 0.1; echo two"))
        client.half_close()
        client.await_output("two")
        client.await_result()


def leave_by_hundreds(scene: Scene) -> None:
    """Many that leave at once, in the middle of their commands, leave nothing."""
    for _ in range(2):
        clients = [scene.connect() for _ in range(150)]
        for client in clients:
            client.send(make_script(_LONG_SCRIPT))
        # Only so many run at once, and over a bridge the first to ask may not be among them.
        ready, _, _ = select.select([client.socket for client in clients], [], [], PATIENCE_S)
        if not ready:
            raise BrokenError("no command of many was started")
        for client in clients:
            client.close()


def _stop_at(scene: Scene, *, step: int, hang_up: bool) -> None:
    with scene.connect() as client:
        _begin(client, "cat; trap : USR1; echo ended")
        for line in _STEPS[:step]:
            client.send(line)
        if step < len(_STEPS):
            client.send(_STEPS[step][:-9])
        if not hang_up:
            client.half_close()
            client.await_response()


def _begin(client: Client, script: str) -> None:
    client.send(make_script(f"echo up; {script}", *_FEATURES))
    client.await_start(*_FEATURES)
    client.await_output("up")


def leave_between_request_and_start(scene: Scene) -> None:
    """The command may have been started or not: it is ended and recorded."""
    for _ in range(50):
        with scene.connect() as client:
            client.send(make_script(_LONG_SCRIPT, *_FEATURES))


def leave_a_forest_of_files(scene: Scene) -> None:
    """What a tool leaves in its temporary directory is removed while others are served."""
    world = scene.daemon.world
    with scene.connect() as client:
        client.send(make_script(f"seq {_FOREST} | xargs touch", "signals"))
        client.await_result()
        client.await_end()
        # Beside those of the honest agent, in which nothing is left.
        (left,) = (one for one in world.temporary.iterdir() if _is_full(one))
        scene.daemon.ask_true()
        if not left.exists():
            raise BrokenError("somebody else had to wait until everything was removed")


def _is_full(directory: Path) -> bool:
    try:
        return any(directory.iterdir())
    except FileNotFoundError:
        return False


FAMILY = make_family(
    "leaving",
    "hanging up and half-closing at every point",
    hang_up_at_each_byte,
    half_close_at_each_byte,
    connect_and_leave,
    leave_with_output_unread,
    leave_a_command_behind,
    leave_children_after_the_result,
    half_close_and_wait,
    leave_by_hundreds,
    leave_between_request_and_start,
    leave_a_forest_of_files,
    *(
        Attack(
            f"{'hang up' if hang_up else 'half-close'} in step {step} of a session",
            partial(_stop_at, step=step, hang_up=hang_up),
        )
        for step in range(len(_STEPS) + 1)
        for hang_up in (True, False)
    ),
    promise="G8",
)

"""Descriptors that may be passed, in the hands of a client that makes trouble with them."""

import os
from contextlib import ExitStack

from e2e.hostile.attack import Scene, make_family
from e2e.hostile.descriptors import make_pipe, make_terminal, open_null
from e2e.world.client import Client
from e2e.world.errors import BrokenError
from e2e.world.lines import make_message, make_script

_FEATURES = ("fds", "signals", "exit-signal")


def pipe_that_is_never_read(scene: Scene) -> None:
    """A tool that waits for its reader ends with its client, and holds up nobody else."""
    for _ in range(10):
        with ExitStack() as stack, scene.connect() as client:
            reading, writing = make_pipe(stack)
            _start(client, "echo up; cat /dev/zero", [open_null(stack), writing, writing])
            os.read(reading, 3)
            scene.daemon.ask_true()


def pipe_without_a_reader(scene: Scene) -> None:
    """A tool whose reader is gone gets SIGPIPE, as with no daemon between."""
    with ExitStack() as stack, scene.connect() as client:
        reading, writing = os.pipe()
        os.close(reading)
        stack.callback(os.close, writing)
        _start(client, "exec cat /dev/zero", [open_null(stack), writing, open_null(stack)])
        result = client.await_result()
    if result.get("signal") != "SIGPIPE":
        raise BrokenError(f"not ended by SIGPIPE: {result}")


def pipe_the_wrong_way(scene: Scene) -> None:
    """The end to write as stdin and the end to read as stdout are the tool's own trouble."""
    with ExitStack() as stack, scene.connect() as client:
        reading, writing = make_pipe(stack)
        _start(client, "cat; echo x", [writing, reading, reading])
        client.await_result()


def pipe_that_never_ends(scene: Scene) -> None:
    """A tool that waits for input which never comes ends with its client."""
    for _ in range(10):
        with ExitStack() as stack, scene.connect() as client:
            reading, writing = make_pipe(stack)
            silent, _ = make_pipe(stack)
            _start(client, "echo up; cat", [silent, writing, writing])
            os.read(reading, 3)


def pipe_that_the_tool_keeps(scene: Scene) -> None:
    """A client sees the end of its pipe once all of the command has ended."""
    with ExitStack() as stack, scene.connect() as client:
        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        _start(client, "setsid sleep 600 & :", [open_null(stack), writing, writing])
        os.close(writing)
        client.await_result()
        if os.read(reading, 1):
            raise BrokenError("something was written")


def pipe_that_does_not_block(scene: Scene) -> None:
    """The flags of a description are shared: what the client sets there is the tool's alone."""
    with ExitStack() as stack, scene.connect() as client:
        reading, writing = make_pipe(stack)
        os.set_blocking(writing, False)
        os.set_blocking(reading, False)
        _start(client, "head -c 1000000 /dev/zero", [reading, writing, open_null(stack)])
        client.await_result()


def the_same_three_times(scene: Scene) -> None:
    """One pipe, one terminal, or /dev/null for all three is as good as three."""
    with ExitStack() as stack:
        for descriptor in (make_pipe(stack)[1], make_terminal(stack)[1], open_null(stack)):
            with scene.connect() as client:
                _start(client, "echo x; echo y >&2", [descriptor] * 3)
                client.await_result()


def terminal_that_is_gone(scene: Scene) -> None:
    """A terminal whose other end is closed is an end of file and an error, or is refused."""
    with ExitStack() as stack, scene.connect() as client:
        master, slave = os.openpty()
        os.close(master)
        stack.callback(os.close, slave)
        client.send(make_script("cat; echo x", *_FEATURES), [slave, slave, slave])
        client.await_response()


def terminal_that_goes_away(scene: Scene) -> None:
    """Nor is it more when that happens meanwhile."""
    with ExitStack() as stack, scene.connect() as client:
        master, slave = os.openpty()
        stack.callback(os.close, slave)
        _start(client, "echo up; cat; sleep 0.1; echo x", [slave, slave, slave])
        os.read(master, 2)
        os.close(master)
        client.await_result()


def terminal_that_is_never_read(scene: Scene) -> None:
    """A tool that waits for a terminal ends with its client."""
    with ExitStack() as stack, scene.connect() as client:
        master, slave = make_terminal(stack)
        _start(client, "echo up; cat /dev/zero", [slave, slave, slave])
        os.read(master, 2)
        scene.daemon.ask_true()


def other_end_of_a_terminal(scene: Scene) -> None:
    """The person's end is a terminal too for who asks so; it is refused or harms nobody."""
    with ExitStack() as stack, scene.connect() as client:
        master, _ = make_terminal(stack)
        client.send(make_script("echo x", *_FEATURES), [master, master, master])
        client.await_response()


def signals_to_passed_ones(scene: Scene) -> None:
    """A flood of signals reaches the tool or nobody, and the command ends as they say."""
    with ExitStack() as stack, scene.connect() as client:
        reading, writing = make_pipe(stack)
        script = "trap '' USR1; echo up; sleep 600"
        _start(client, script, [open_null(stack), writing, writing])
        os.read(reading, 3)
        for _ in range(2000):
            client.send(make_message("signal", name="SIGUSR1"))
        client.send(make_message("signal", name="SIGKILL"))
        client.await_error(-32602)


def messages_of_other_features(scene: Scene) -> None:
    """With descriptors passed there is no stdin, no terminal and no output on the wire."""
    with ExitStack() as stack, scene.connect() as client:
        reading, writing = make_pipe(stack)
        client.send(
            make_script("echo up; sleep 0.1; echo x", *_FEATURES, "stdin", "tty", "base64"),
            [open_null(stack), writing, writing],
        )
        client.await_start(*_FEATURES)
        for _ in range(100):
            client.send(make_message("stdin", data="x" * 60_000))
            client.send(make_message("resize", rows=1, cols=1))
        message = client.next_message()
        if message is None or "result" not in message:
            raise BrokenError(f"a result was awaited, and {message} came")
        if os.read(reading, 100) != b"up\nx\n":
            raise BrokenError("the output is not where it should be")


def _start(client: Client, script: str, passed: list[int]) -> None:
    client.send(make_script(script, *_FEATURES), passed)
    client.await_start(*_FEATURES)


FAMILY = make_family(
    "passed",
    "descriptors that may be passed, and trouble with them",
    pipe_that_is_never_read,
    pipe_without_a_reader,
    pipe_the_wrong_way,
    pipe_that_never_ends,
    pipe_that_the_tool_keeps,
    pipe_that_does_not_block,
    the_same_three_times,
    terminal_that_is_gone,
    terminal_that_goes_away,
    terminal_that_is_never_read,
    other_end_of_a_terminal,
    signals_to_passed_ones,
    messages_of_other_features,
    promise="G8",
)

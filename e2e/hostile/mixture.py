"""A mixture of good and hostile requests, each on a connection of its own."""

import os
import random
from collections.abc import Callable
from contextlib import ExitStack

from e2e.hostile.descriptors import UNWANTED, make_pipe, make_terminal, open_null, open_unwanted
from e2e.world.client import Client
from e2e.world.errors import BrokenError, NotHereError
from e2e.world.lines import FEATURES, TERMINAL, make_message, make_request, make_script

Play = Callable[[Client, random.Random], None]
"""Makes one request, and raises BrokenError where the answer is not what it must be."""

_LASTING = "echo up; sleep 600"
_NONSENSE = (b"nonsense\n", b"[]\n", b"\n", b"[" * 5000 + b"\n", b"\xff\n", b'{"id":1}\n')
_WRONG = (
    make_request("true", "\0"),
    make_request("true", features=[1]),
    make_request("true", cwd=[]),
    make_request("true", env={"": ""}),
    make_request("true", tty={**TERMINAL, "rows": -1}),
)


def _run(client: Client, choices: random.Random) -> None:
    client.send(make_request("true", *["x"] * choices.randrange(20)))
    _require_success(client)


def _check(client: Client, _choices: random.Random) -> None:
    client.send(make_request("true", method="check"))
    client.await_result()


def _run_for_output(client: Client, choices: random.Random) -> None:
    count = choices.randrange(100_000)
    features = choices.sample(FEATURES[:4], choices.randrange(4))
    client.send(make_script(f"head -c {count} /dev/zero", *features))
    _require_success(client)


def _run_with_pipes(client: Client, _choices: random.Random) -> None:
    with ExitStack() as stack:
        reading, writing = make_pipe(stack)
        passed = [open_null(stack), writing, writing]
        client.send(make_script("echo fine", *FEATURES), passed)
        _require_success(client)
        if os.read(reading, 100) != b"fine\n":
            raise BrokenError("the output did not come through the pipe")


def _run_with_input(client: Client, choices: random.Random) -> None:
    client.send(make_script("cat", "stdin", "base64"))
    client.await_start("stdin")
    for _ in range(choices.randrange(5)):
        client.send(make_message("stdin", data="x" * choices.randrange(1, 9000)))
    client.send(make_message("stdin", data="done\n", eof=True))
    client.await_output("done")
    _require_success(client)


def _run_on_terminal(client: Client, _choices: random.Random) -> None:
    client.send(make_script("stty size; cat", "stdin", "tty", tty=TERMINAL))
    client.await_start("stdin", "tty")
    client.await_output("24 80")
    client.send(make_message("resize", rows=50, cols=100))
    client.send(make_message("stdin", eof=True))
    _require_success(client)


def _interrupt(client: Client, choices: random.Random) -> None:
    client.send(make_script(_LASTING, "signals", "exit-signal"))
    client.await_start("signals")
    client.await_output("up")
    # Not SIGINT, which a shell that is about to fork may well lose.
    name = choices.choice(("SIGTERM", "SIGHUP", "SIGUSR1"))
    client.send(make_message("signal", name=name))
    result = client.await_result()
    if result.get("signal") != name:
        raise BrokenError(f"ended by {name}, and the result is {result}")


def _ask_what_is_not_enabled(client: Client, choices: random.Random) -> None:
    client.send(make_request("x" * choices.randrange(1, 5000)))
    client.await_error(-32601)


def _send_nonsense(client: Client, choices: random.Random) -> None:
    client.send(choices.choice(_NONSENSE))
    client.await_response()


def _send_wrong_params(client: Client, choices: random.Random) -> None:
    client.send(choices.choice(_WRONG))
    client.await_error(-32602)


def _refuse_and_leave(client: Client, choices: random.Random) -> None:
    client.send(choices.choice((make_request("sudo"), *_NONSENSE, *_WRONG)))


def _cut_off(client: Client, choices: random.Random) -> None:
    line = make_script(_LASTING, *FEATURES)
    client.send(line[: choices.randrange(1, len(line) + 1)])
    if choices.random() < 0.5:
        client.half_close()


def _leave_a_command(client: Client, choices: random.Random) -> None:
    client.send(make_script(_LASTING, *choices.sample(FEATURES[:3], choices.randrange(3))))
    client.await_output("up")


def _leave_output_unread(client: Client, _choices: random.Random) -> None:
    client.send(make_script("cat /dev/zero"))
    client.take(1)


def _leave_children(client: Client, _choices: random.Random) -> None:
    client.send(make_script("setsid sleep 600 & sleep 600 & :"))
    _require_success(client)


def _overdraw(client: Client, _choices: random.Random) -> None:
    client.send(make_script(_LASTING, "stdin"))
    credit = client.await_start("stdin")["stdin_credit"]
    client.send(make_message("stdin", data="x" * (credit + 1)))
    client.await_error(-32600)


def _pass_unwanted(client: Client, choices: random.Random) -> None:
    with ExitStack() as stack:
        kind = choices.choice([name for name in UNWANTED if name != "io_uring"])
        try:
            passed = [stack.enter_context(open_unwanted(kind))] * 3
        except NotHereError:
            passed = [open_null(stack)] * 4
        client.send(make_request("true", features=["fds"]), passed)
        client.await_error(-32600)


def _pass_and_leave(client: Client, choices: random.Random) -> None:
    with ExitStack() as stack:
        _, slave = make_terminal(stack)
        line = make_script(_LASTING, "fds")
        client.send(line[: choices.randrange(1, len(line) + 1)], [slave] * 3)


def _pass_later(client: Client, choices: random.Random) -> None:
    with ExitStack() as stack:
        line = make_request("true", features=["fds"])
        position = choices.randrange(1, len(line))
        client.send(line[:position])
        client.send(line[position:], [open_null(stack)] * choices.randrange(1, 20))
        client.await_error(-32600)


def _require_success(client: Client) -> None:
    result = client.await_result()
    if result["exit_code"] != 0:
        raise BrokenError(f"a result of success was awaited, and {result} came")


_PLAYS: dict[Play, int] = {
    _run: 300,
    _check: 50,
    _run_for_output: 50,
    _run_with_pipes: 100,
    _run_with_input: 40,
    _run_on_terminal: 20,
    _interrupt: 20,
    _ask_what_is_not_enabled: 50,
    _send_nonsense: 50,
    _send_wrong_params: 50,
    _refuse_and_leave: 50,
    _cut_off: 60,
    _leave_a_command: 20,
    _leave_output_unread: 10,
    _leave_children: 10,
    _overdraw: 10,
    _pass_unwanted: 40,
    _pass_and_leave: 20,
    _pass_later: 20,
}
"""Each with how often it comes, compared with the others."""


def play(path: str, *, count: int, seed: int) -> None:
    """Make `count` requests, one after the other, chosen by `seed`; raises BrokenError."""
    choices = random.Random(seed)  # noqa: S311 - to be repeatable is what matters
    for one in choices.choices(list(_PLAYS), list(_PLAYS.values()), k=count):
        with Client(path) as client:
            try:
                one(client, choices)
            except BrokenError as error:
                raise BrokenError(f"{one.__name__.replace('_', ' ').strip()}: {error}") from error

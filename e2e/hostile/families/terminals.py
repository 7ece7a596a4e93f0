"""Pseudo-terminals, their sizes, and floods of signals."""

import base64
from functools import partial

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.world.client import Client
from e2e.world.errors import BrokenError
from e2e.world.lines import TERMINAL, make_message, make_script

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")


def size_without_end(scene: Scene) -> None:
    """A number that no terminal has is refused, however large."""
    with scene.connect() as client:
        _begin(client, "sleep 600")
        client.send(make_message("resize", rows=10**40, cols=80))
        client.await_error(-32602)


def flood_of_sizes(scene: Scene) -> None:
    """Ten thousand sizes are set, and the last one stays."""
    with scene.connect() as client:
        # A size is set beside what else the daemon does, so it may come after the line.
        _begin(client, "read line; until stty size | grep -x '65535 65535'; do :; done; echo ended")
        for number in range(10_000):
            client.send(make_message("resize", rows=number, cols=65_535 - number))
        client.send(make_message("resize", rows=65_535, cols=65_535))
        client.send(make_message("stdin", data="\n"))
        client.await_output("65535 65535")
        client.await_result()


def _flood_of_signals(scene: Scene, *, name: str) -> None:
    with scene.connect() as client:
        client.send(make_script(f"trap : {name[3:]}; echo up; cat; echo ended", "signals", "stdin"))
        client.await_start("signals", "stdin")
        client.await_output("up")
        for _ in range(20):
            if not client.send(make_message("signal", name=name) * 100):
                break
        client.send(make_message("stdin", eof=True))
        client.await_response()


def signals_to_one_that_has_ended(scene: Scene) -> None:
    """A signal that comes too late reaches nobody."""
    for _ in range(30):
        with scene.connect() as client:
            client.send(make_script(":", "signals"))
            client.await_start("signals")
            for name in _NAMES:
                client.send(make_message("signal", name=name))
            client.await_response()


def output_that_is_never_read(scene: Scene) -> None:
    """Neither output nor echo is gathered for a client that does not read."""
    with scene.connect(small=True) as client:
        _begin(client, "cat /dev/zero")
        for _ in range(100):
            client.push(make_message("stdin", data="x" * 500))
        for _ in range(20):
            scene.daemon.ask_true()


def keys_without_end(scene: Scene) -> None:
    """A terminal in line mode takes 4095 characters and drops the rest; nothing waits for ever."""
    with scene.connect() as client:
        credit = _begin(client, "sleep 0.5")
        sent = 0
        while sent + 1000 <= min(credit, 100_000):
            client.send(make_message("stdin", data="x" * 1000))
            sent += 1000
        client.await_result()


def control_characters(scene: Scene) -> None:
    """Every byte may be typed; those that mean something to a terminal do so to the tool alone."""
    for code in range(256):
        if code in (4, 26, 19):
            continue
        with scene.connect() as client:
            client.send(
                make_script(
                    "stty raw -echo; echo up; head -c 1 >/dev/null", "stdin", "tty", tty=TERMINAL
                )
            )
            client.await_start("stdin", "tty")
            client.await_output("up")
            client.send(make_message("stdin", data=_encode(code), encoding="base64"))
            client.await_result()


def leave_with_a_terminal(scene: Scene) -> None:
    """What runs on a terminal ends with its client, whatever it does to escape."""
    for script in (
        "sleep 600",
        "cat",
        "trap '' HUP INT QUIT TERM TSTP; while :; do sleep 1; done",
        "setsid sleep 600 & sleep 600",
        "stty raw -echo -isig; cat",
        "kill -STOP $$",
    ):
        with scene.connect() as client:
            _begin(client, script)


def stopped_by_its_key(scene: Scene) -> None:
    """A command that stops itself can be ended all the same."""
    with scene.connect() as client:
        _begin(client, "sleep 600")
        client.send(make_message("stdin", data="\x1a"))


def every_mixture_of_streams(scene: Scene) -> None:
    """Each of the eight mixtures of terminal and no terminal is a session like another."""
    for number in range(8):
        flags = {
            name: bool(number >> bit & 1) for bit, name in enumerate(("stdin", "stdout", "stderr"))
        }
        for features in (("tty",), ("tty", "stdin"), ("stdin",)):
            with scene.connect() as client:
                client.send(make_script("echo x; echo y >&2", *features, tty={**TERMINAL, **flags}))
                client.await_result()


def terminals_by_the_dozen(scene: Scene) -> None:
    """Sixty of them at once are given back."""
    clients = [scene.connect() for _ in range(60)]
    try:
        for client in clients:
            _begin(client, "sleep 600")
    finally:
        for client in clients:
            client.close()


def _begin(client: Client, script: str) -> int:
    client.send(make_script(f"echo up; {script}", "stdin", "tty", tty=TERMINAL))
    params = client.await_start("stdin", "tty")
    client.await_output("up")
    credit = params.get("stdin_credit")
    if not isinstance(credit, int):
        raise BrokenError(f"no credit: {params}")
    return credit


def _encode(code: int) -> str:
    return base64.b64encode(bytes([code])).decode()


FAMILY = make_family(
    "terminals",
    "pseudo-terminals, their sizes, and floods of signals",
    size_without_end,
    flood_of_sizes,
    *(Attack(f"flood of {name}", partial(_flood_of_signals, name=name)) for name in _NAMES),
    signals_to_one_that_has_ended,
    output_that_is_never_read,
    keys_without_end,
    control_characters,
    leave_with_a_terminal,
    stopped_by_its_key,
    every_mixture_of_streams,
    terminals_by_the_dozen,
    promise="G8",
)

"""Clients that read nothing, or too slowly: they hold up their own command alone."""

import json

from e2e.hostile.attack import Scene, make_family
from e2e.world.client import Client
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request, make_script
from e2e.world.process_status import resident_memory

_MIB = 1 << 20
_ENDLESS = "cat /dev/zero"


def never_read(scene: Scene) -> None:
    """Sixty endless outputs that nobody reads are not gathered, and others are served."""
    before = resident_memory(scene.daemon.pid)
    clients = [scene.connect(small=True) for _ in range(60)]
    try:
        for client in clients:
            client.send(make_script(_ENDLESS))
        for client in clients:
            client.take(1)
        for _ in range(20):
            scene.daemon.ask_true()
        grown = resident_memory(scene.daemon.pid) - before
        if grown > 60 * _MIB:
            raise BrokenError(f"{grown // _MIB} MiB wait for clients that do not read")
    finally:
        for client in clients:
            client.close()


def read_a_byte_for_each_answer_of_others(scene: Scene) -> None:
    """However slow a client is, somebody else is served in between."""
    with scene.connect(small=True) as client:
        client.send(make_script(_ENDLESS))
        for _ in range(200):
            client.take(1)
            scene.daemon.ask_true()


def read_a_long_answer_by_bytes(scene: Scene) -> None:
    """What a slow client gets is all of it, and in order."""
    with scene.connect(small=True) as client:
        client.send(make_script("head -c 40000 /dev/zero | tr '\\0' x"))
        _expect_output(client, "x" * 40_000, piece=1)


def never_read_the_answer(scene: Scene) -> None:
    """Refusals and results that nobody reads keep nothing open."""
    for line in (make_request("true"), make_request("sudo"), b"no request\n"):
        clients = [scene.connect(small=True) for _ in range(50)]
        for client in clients:
            client.send(line)
        scene.daemon.ask_true()
        for client in clients:
            client.close()


def send_and_never_read(scene: Scene) -> None:
    """A client that only sends, and goes on sending after its request, is not gathered either."""
    with scene.connect() as client:
        client.send(make_script("echo up; sleep 600"))
        client.await_output("up")
        before = resident_memory(scene.daemon.pid)
        for _ in range(200):
            if client.push(b"y" * 65_536) <= 0:
                scene.daemon.ask_true(agent="honest")
        if resident_memory(scene.daemon.pid) - before > 16 * _MIB:
            raise BrokenError("what follows the request is kept")


def _expect_output(client: Client, text: str, *, piece: int) -> None:
    lines = b""
    while data := client.take(piece):
        lines += data
    messages = map(json.loads, lines.splitlines())
    output = "".join(message["params"]["data"] for message in messages if "method" in message)
    if output != text:
        raise BrokenError(f"{len(output)} characters came, not the {len(text)} that were written")


FAMILY = make_family(
    "readers",
    "clients that do not read, or slowly",
    never_read,
    read_a_byte_for_each_answer_of_others,
    read_a_long_answer_by_bytes,
    never_read_the_answer,
    send_and_never_read,
)

"""Input and its credit: more than granted, without end, after its end, never read."""

import base64
from functools import partial

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.world.client import Client
from e2e.world.errors import BrokenError
from e2e.world.lines import make_message, make_script
from e2e.world.process_status import resident_memory

_MIB = 1 << 20
_SCRIPT = "echo up; sleep 600"

# What is no message of the client while its command runs, and how it is answered. Each kind is a
# case of the conformance suite; these are further ones.
_WRONG: tuple[tuple[str, bytes, int], ...] = (
    ("empty line", b"\n", -32700),
    ("deep nesting", b"[" * 100_000 + b"\n", -32700),
    ("a line of 5 MiB", b"x" * (5 * _MIB), -32700),
    ("null", b"null\n", -32600),
    ("params null", b'{"jsonrpc":"2.0","method":"stdin","params":null}\n', -32602),
    ("data a list", make_message("stdin", data=["x"]), -32602),
)


def _send_wrong(scene: Scene, *, line: bytes, code: int) -> None:
    with scene.connect() as client:
        _begin(client, _SCRIPT)
        client.send(line)
        client.await_error(code)
        client.await_end()


def _overdraw(scene: Scene, *, pieces: int, encoded: bool) -> None:
    with scene.connect() as client:
        credit = _begin(client, _SCRIPT)
        data = b"x" * (credit // pieces + 1)
        for _ in range(pieces):
            if not client.send(_make_stdin(data, encoded=encoded)):
                break
        client.await_error(-32600)


def use_all_credit(scene: Scene) -> None:
    """All that was granted may be sent, to the last byte; a tool that reads nothing is no fault."""
    with scene.connect() as client:
        credit = _begin(client, "sleep 0.2")
        client.send(_make_stdin(b"x" * credit, encoded=False))
        client.await_result()


def never_read_the_credit(scene: Scene) -> None:
    """A client that sends in step with its credit but reads no output stops its own command."""
    with scene.connect(small=True) as client:
        credit = _begin(client, "cat")
        before = resident_memory(scene.daemon.pid)
        line = _make_stdin(b"x" * 1000, encoded=True)
        for _ in range(credit // 1000):
            client.send(line)
        for _ in range(20):
            scene.daemon.ask_true()
        if resident_memory(scene.daemon.pid) - before > 16 * _MIB:
            raise BrokenError("input is gathered")


def input_for_many_that_do_not_read(scene: Scene) -> None:
    """What waits for sixty tools that do not read is bounded by their credit."""
    before = resident_memory(scene.daemon.pid)
    clients = [scene.connect() for _ in range(60)]
    try:
        for client in clients:
            credit = _begin(client, _SCRIPT)
            client.send(_make_stdin(b"x" * credit, encoded=False))
        for _ in range(20):
            scene.daemon.ask_true()
        if resident_memory(scene.daemon.pid) - before > 96 * _MIB:
            raise BrokenError("more waits than was granted")
    finally:
        for client in clients:
            client.close()


def single_bytes(scene: Scene) -> None:
    """Fifty thousand messages of one byte each arrive, in order."""
    with scene.connect() as client:
        _begin(client, "head -c 50000 | cksum")
        line = make_message("stdin", data="x")
        sent = 0
        while sent < 50_000:
            client.send(line * 500)
            sent += 500
        client.await_output("2685744680 50000")
        client.await_result()


def end_twice(scene: Scene) -> None:
    """What comes after the end of the input is ignored."""
    with scene.connect() as client:
        _begin(client, "cat; sleep 0.1; echo ended")
        client.send(make_message("stdin", data="x\n", eof=True))
        for _ in range(1000):
            client.send(make_message("stdin", eof=True))
        client.send(_make_stdin(b"more", encoded=False))
        client.await_output("ended")
        client.await_result()


def tool_that_closes_its_input(scene: Scene) -> None:
    """What comes for a tool that reads no more is dropped."""
    with scene.connect() as client:
        credit = _begin(client, "exec <&-; echo closed; sleep 0.2")
        client.await_output("closed")
        client.send(_make_stdin(b"x" * credit, encoded=False))
        client.await_result()


def tool_that_ends_at_once(scene: Scene) -> None:
    """Input for a tool that has ended is no fault of anybody."""
    for _ in range(20):
        with scene.connect() as client:
            _begin(client, ":")
            client.send(_make_stdin(b"x" * 1000, encoded=False))
            client.send(make_message("stdin", eof=True))
            client.await_result()


def input_without_the_feature(scene: Scene) -> None:
    """Input that nobody asked for is read over, however much it is."""
    with scene.connect() as client:
        client.send(make_script("echo up; sleep 0.2; cat; echo ended", "signals", "base64"))
        client.await_start("signals", "base64")
        for _ in range(300):
            client.send(_make_stdin(b"x" * 60_000, encoded=False))
        client.await_output("ended")


def messages_nobody_knows(scene: Scene) -> None:
    """Unknown methods are ignored, a hundred thousand of them too."""
    with scene.connect() as client:
        _begin(client, "cat")
        for _ in range(100):
            client.send(make_message("nothing", x=[1, {"y": None}]) * 1000)
        client.send(make_message("stdin", data="done\n", eof=True))
        client.await_output("done")
        client.await_result()


def second_request(scene: Scene) -> None:
    """A request while the command runs is not carried out."""
    mark = scene.daemon.world.workspace / "second"
    with scene.connect() as client:
        _begin(client, "cat")
        client.send(make_script("touch second", cwd="/workspace"))
        client.send(make_message("stdin", eof=True))
        client.await_response()
    if mark.exists():
        raise BrokenError("a second request was carried out")


def before_start(scene: Scene) -> None:
    """A client that does not wait for start is safe for everybody but itself."""
    for data in (make_message("stdin", data="x", eof=True), b"x" * 5 * _MIB, b"\xff\n" * 1000):
        with scene.connect() as client:
            client.send(make_script("cat", "stdin") + data)
            client.half_close()
            client.await_response()


def _begin(client: Client, script: str) -> int:
    client.send(make_script(f"echo up; {script}", "stdin", "signals"))
    credit = client.await_start("stdin", "signals").get("stdin_credit")
    if not isinstance(credit, int) or credit < 1:
        raise BrokenError(f"no credit: {credit!r}")
    client.await_output("up")
    return credit


def _make_stdin(data: bytes, *, encoded: bool) -> bytes:
    if encoded:
        return make_message("stdin", data=base64.b64encode(data).decode(), encoding="base64")
    return make_message("stdin", data=data.decode())


FAMILY = make_family(
    "stdin",
    "stdin, its credit, and wrong messages to a command that runs",
    *(Attack(name, partial(_send_wrong, line=line, code=code)) for name, line, code in _WRONG),
    *(
        Attack(
            f"overdraft in {pieces} pieces{' of base64' if encoded else ''}",
            partial(_overdraw, pieces=pieces, encoded=encoded),
        )
        for pieces in (1, 7, 100)
        for encoded in (False, True)
    ),
    use_all_credit,
    never_read_the_credit,
    input_for_many_that_do_not_read,
    single_bytes,
    end_twice,
    tool_that_closes_its_input,
    tool_that_ends_at_once,
    input_without_the_feature,
    messages_nobody_knows,
    second_request,
    before_start,
)

"""Many connections: idle ones, floods, and more than an agent may have."""

from contextlib import ExitStack
from functools import partial

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request, make_script
from e2e.world.process_status import cpu_seconds, list_descriptors

_IDLE = 1000
_FEW = 40


def thousand_idle_in_the_middle_of_a_line(scene: Scene) -> None:
    """Nor do those keep anybody out that have begun to speak."""
    with ExitStack() as stack:
        for _ in range(_IDLE):
            stack.enter_context(scene.connect()).send(b'{"jsonrpc"')
        for _ in range(50):
            scene.daemon.ask_true()


def thousand_idle(scene: Scene) -> None:
    """A thousand connections on which nothing happens keep nobody out, and nothing spins."""
    with ExitStack() as stack:
        clients = [stack.enter_context(scene.connect()) for _ in range(_IDLE)]
        for _ in range(50):
            scene.daemon.ask_true()
        with scene.honest.pausing():
            before = cpu_seconds(scene.daemon.pid)
            clients[0].send(make_script("sleep 1"))
            clients[0].await_result()
            used = cpu_seconds(scene.daemon.pid) - before
    # A daemon that spins would use all of the second.
    if used > 0.5:
        raise BrokenError(f"{used:g} s of processor time in a second of idle connections")


def more_than_allowed(scene: Scene) -> None:
    """Those beyond the limit are told why, and places are given back."""
    # Those that left before hold a place until they were accepted and told, which takes its time.
    _await_place(scene)
    while len(list_descriptors(scene.daemon.pid)) > _FEW:
        scene.daemon.ask_true()
    with ExitStack() as stack:
        for _ in range(1024):
            stack.enter_context(scene.connect())
        for _ in range(50):
            with scene.connect() as client:
                error = client.await_error(-32600)
            if (error["data"]["layer"], error["data"]["rule"]) != ("limit", "connections"):
                raise BrokenError(f"refused for another reason: {error}")
        scene.daemon.ask_true()
    _await_place(scene)


def flood_of_connections(scene: Scene) -> None:
    """Connecting and leaving as fast as can be does no harm."""
    for _ in range(3000):
        scene.connect().close()
    _await_place(scene)


def flood_of_requests(scene: Scene, *, line: bytes, count: int) -> None:
    """As many requests as fit, sent without waiting for an answer, are each answered."""
    clients = [scene.connect() for _ in range(count)]
    try:
        for client in clients:
            client.send(line)
        for client in clients:
            client.await_response()
    finally:
        for client in clients:
            client.close()


def one_after_the_other(scene: Scene) -> None:
    """Hundreds of requests in a row leave nothing behind."""
    for number in range(400):
        with scene.connect() as client:
            client.send(make_request("true" if number % 4 == 0 else "sudo"))
            client.await_response()


def _await_place(scene: Scene) -> None:
    """Return once a request is taken again: the daemon may still be at those that left."""
    while True:
        with scene.connect() as client:
            client.send(make_request("true"))
            if "result" in client.await_response():
                return


FAMILY = make_family(
    "connections",
    "many connections",
    thousand_idle,
    thousand_idle_in_the_middle_of_a_line,
    more_than_allowed,
    flood_of_connections,
    one_after_the_other,
    Attack("flood of commands", partial(flood_of_requests, line=make_request("true"), count=400)),
    Attack(
        "flood of checks",
        partial(flood_of_requests, line=make_request("true", method="check"), count=900),
    ),
    Attack("flood of refusals", partial(flood_of_requests, line=make_request("sudo"), count=900)),
    Attack("flood of nonsense", partial(flood_of_requests, line=b"nonsense\n", count=900)),
)

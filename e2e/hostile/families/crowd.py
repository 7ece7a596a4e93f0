"""More commands than an agent may have running or waiting: told why, in order, and no longer."""

from contextlib import ExitStack

from e2e.hostile.attack import Scene, make_family
from e2e.world.client import Client
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request, make_script

_LIMITS = {"running": 4, "queued": 8, "queue_s": 1, "request_s": 1}


def full_queue(scene: Scene) -> None:
    """Those beyond the queue are refused at once; those in it get their turn or are told."""
    with ExitStack() as stack:
        _occupy(scene, stack)
        waiting = [stack.enter_context(scene.connect()) for _ in range(30)]
        for client in waiting:
            client.send(make_request("true"))
        rules = [_await_limit(client) for client in waiting]
    if set(rules) != {"queued", "queue_s"} or rules.count("queue_s") != _LIMITS["queued"]:
        raise BrokenError(f"refused by {rules}")


def leave_the_queue(scene: Scene) -> None:
    """Who leaves while waiting gives up the place."""
    with ExitStack() as stack:
        _occupy(scene, stack)
        for _ in range(10):
            clients = [scene.connect() for _ in range(int(_LIMITS["queued"]))]
            for client in clients:
                client.send(make_request("true"))
            for client in clients:
                client.close()
        with scene.connect() as client:
            client.send(make_request("true"))
            if _await_limit(client) != "queue_s":
                raise BrokenError("the queue is full of clients that have left")


def checks_need_no_place(scene: Scene) -> None:
    """A question is answered while all places are taken."""
    with ExitStack() as stack:
        _occupy(scene, stack)
        with scene.connect() as client:
            client.send(make_request("true", method="check"))
            client.await_result()


def slow_requests(scene: Scene) -> None:
    """Who does not send a whole request in time is told, however many bytes come meanwhile."""
    with ExitStack() as stack:
        clients = [stack.enter_context(scene.connect()) for _ in range(50)]
        line = make_request("true", "x" * 100_000)
        position = 0
        while not clients[0].has_news():
            for client in clients:
                client.push(line[position : position + 1])
            position += 1
            scene.daemon.ask_true()
        for client in clients:
            if _await_limit(client) != "request_s":
                raise BrokenError("a slow client was refused for another reason")


def unread_answer_to_a_slow_request(scene: Scene) -> None:
    """Nor does a client stay that does not read why it is refused."""
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(scene.connect(small=True)).send(b'{"jsonrpc"')
        with scene.connect() as client:
            client.send(b"{")
            _await_limit(client)


def _occupy(scene: Scene, stack: ExitStack) -> None:
    for _ in range(int(_LIMITS["running"])):
        client = stack.enter_context(scene.connect())
        client.send(make_script("echo up; sleep 600"))
        client.await_output("up")


def _await_limit(client: Client) -> str:
    error = client.await_error(-32600)
    if error.get("data", {}).get("layer") != "limit":
        raise BrokenError(f"not refused by a limit: {error}")
    return str(error["data"].get("rule"))


FAMILY = make_family(
    "crowd",
    "more commands than an agent may have",
    full_queue,
    leave_the_queue,
    checks_need_no_place,
    slow_requests,
    unread_answer_to_a_slow_request,
    limits=_LIMITS,
)

"""No descriptor left in the daemon's table: the agent that took them is told, others work on."""

from contextlib import ExitStack

from e2e.hostile.attack import Scene, make_family
from e2e.hostile.descriptors import make_pipe
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request, make_script
from e2e.world.process_status import cpu_seconds

_DESCRIPTORS = 256


def idle_connections(scene: Scene) -> None:
    """More idle connections than the table has room for: told by limit, and nothing spins."""
    with ExitStack() as stack:
        clients = [stack.enter_context(scene.connect()) for _ in range(2 * _DESCRIPTORS)]
        told = [client for client in clients if client.has_news()]
        while not told:
            scene.daemon.ask_true()
            told = [client for client in clients if client.has_news()]
        for client in told:
            error = client.await_error(-32600)
            if error["data"]["layer"] != "limit":
                raise BrokenError(f"not refused by a limit: {error}")
        before = cpu_seconds(scene.daemon.pid)
        for _ in range(50):
            scene.daemon.ask_true()
        used = cpu_seconds(scene.daemon.pid) - before
        if used > 5:
            raise BrokenError(f"{used:g} s of processor time for 50 commands")


def commands_that_use_it_up(scene: Scene) -> None:
    """Commands that cannot have their pipes are answered, and those that can go on."""
    with ExitStack() as stack:
        clients = [stack.enter_context(scene.connect()) for _ in range(60)]
        for client in clients:
            client.send(make_script("echo up; sleep 600", "stdin", "signals"))
        for client in clients:
            if client.next_message() is None:
                raise BrokenError("a client got no answer")
        scene.daemon.ask_true()


def passed_ones_that_use_it_up(scene: Scene) -> None:
    """Descriptors that find no place in the table are closed, and their client is answered."""
    with ExitStack() as stack:
        reading, writing = make_pipe(stack)
        clients = [stack.enter_context(scene.connect()) for _ in range(150)]
        for client in clients:
            client.send(make_script("sleep 600", "fds", "signals"), [reading, writing, writing])
        scene.daemon.ask_true()


def unfinished_passing(scene: Scene) -> None:
    """Nor do those take the table that ride on requests which never end."""
    with ExitStack() as stack:
        _, writing = make_pipe(stack)
        for _ in range(150):
            client = stack.enter_context(scene.connect())
            client.send(make_request("true", features=["fds"])[:5], [writing] * 3)
        scene.daemon.ask_true()


FAMILY = make_family(
    "full-table",
    "no descriptor left in the daemon's table",
    idle_connections,
    commands_that_use_it_up,
    passed_ones_that_use_it_up,
    unfinished_passing,
    limits={"queue_s": 1},
    descriptors=_DESCRIPTORS,
)

"""A world whose `sh` and `python` run in closed boxes that reach some servers of this host."""

import os
import socket
import socketserver
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import trio
from https_server import Handler, in_thread, make_authority, serving

from airlock_daemon.boundary.fairness import Rounds, TurnQueue
from boxing import CLOSED, PYTHON, boxed_world
from running import Answer, Daemon
from worlds import World

HOST = socket.gethostname()
"""A name for an address of this host, as its resolver knows it."""


class Echo(socketserver.ThreadingTCPServer):
    """Says what is said to it, on a loopback address; `count` is how many have connected."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Echoing)
        self.count = 0
        self.ended = threading.Semaphore(0)
        self.port = self.server_address[1]


class _Echoing(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        """Send it all back, until the other side has said everything."""
        self.server.count += 1
        try:
            while data := self.request.recv(1 << 16):
                self.request.sendall(data)
        except OSError:
            pass
        finally:
            self.server.ended.release()


class Site:
    """The servers: `https`, `granted` and `withheld` that echo; and the world."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        self.world = world
        self.folder = world.root / "server"
        self.folder.mkdir()
        self.https = stack.enter_context(serving(self.folder, make_authority(self.folder)))
        self.https.script = _greet
        (world.workspace / "ca.pem").write_bytes((self.folder / "certificate.pem").read_bytes())
        self.granted = stack.enter_context(run_echo())
        self.withheld = stack.enter_context(run_echo())
        # Nobody listens there, and nobody else can.
        unheard = stack.enter_context(socket.socket())
        unheard.bind(("127.0.0.1", 0))
        self.unheard = unheard.getsockname()[1]
        self.grant(
            f"localhost:{self.granted.port}",
            f"localhost:{self.https.port}",
            f"127.0.0.1:{self.unheard}",
            f"{HOST}:{self.https.port}",
            "*.example.com:443",
        )

    def grant(self, *network: str, command: str = "python", more: str = "") -> None:
        """Name what the box of `command` may reach."""
        program = {"python": PYTHON}.get(command, "/bin/sh")
        entries = ", ".join(f'"{each}"' for each in network)
        self.world.write_module(command, program, f"{CLOSED}network = [{entries}]\n{more}")


def _greet(handler: Handler) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(b"hello")
    return True


@contextmanager
def run_echo(address: str = "127.0.0.1", port: int = 0) -> Iterator[Echo]:
    """Run such a server in threads of this process."""
    with Echo(address, port) as server, in_thread(server):
        yield server


@contextmanager
def egress_site() -> Iterator[Site]:
    """The site, and this process in the workspace, as the agent's profile wants it."""
    before = os.getcwd()
    with boxed_world() as world, ExitStack() as stack:
        config = world.config / "config.toml"
        config.write_text(config.read_text().replace('"git"', '"git", "python"'))
        os.chdir(world.workspace)
        stack.callback(os.chdir, before)
        yield Site(world, stack)


@asynccontextmanager
async def taking_turns() -> AsyncIterator[TurnQueue]:
    """The turns of an agent that is alone."""
    rounds = Rounds()
    trio.lowlevel.add_instrument(rounds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        yield TurnQueue(rounds)
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(rounds)


def run_python(daemon: Daemon, script: str, *words: str) -> Answer:
    """Run a script in a box of `python`."""
    return daemon.ask("python", "-c", script, *words, cwd=str(daemon.world.workspace))


ASK = Path(__file__).with_name("egress_client.py").read_text()
"""What scripts in boxes begin with."""


def said(daemon: Daemon, script: str, *words: str | int) -> Sequence[str]:
    """The lines that a script in a box prints, which has all of `egress_client`."""
    answer = run_python(daemon, f"{ASK}\n{script}", *map(str, words))
    assert answer.exit_code == 0, (answer.last, answer.text("stderr"))
    return answer.text().splitlines()

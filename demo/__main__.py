"""The command line of the demo."""

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from e2e.world.engine import Engine, find_engine

from demo.client import Client, ProcessClient, install_shim
from demo.container import offer_container
from demo.errors import DemoError, NotSoError
from demo.git_server import serve_git
from demo.host import keep_credential, run_daemon, write_configuration
from demo.places import Places, make_commit
from demo.screen import Screen
from demo.story import Story

_USER = "alice"


def main(words: Sequence[str]) -> int:
    """Run the demo and return its exit status.

    0 if every step succeeded, 1 if not, 2 for wrong usage, 128+n after signal n.
    """
    options = _parse(words)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end_in_order)
    screen = Screen(sys.stdout)
    engine = "--no-docker was given" if options.no_docker else find_engine()
    if options.docker and isinstance(engine, str):
        screen.close(f"The demo was to use a container, and {engine}.", good=False)
        return 1
    try:
        _run(screen, engine, credential=not options.without_credential)
    except NotSoError as error:
        screen.failed(str(error))
        if options.without_credential:
            screen.close(
                "The daemon was started without the password: this is how that ends.", good=False
            )
        else:
            screen.close("The demo did not show what it is for.", good=False)
        return 1
    except DemoError as error:
        screen.close(f"The demo could not go on: {error}", good=False)
        return 1
    screen.close(
        "All of it was so. Everything that was started has ended, and its files are gone.",
        good=True,
    )
    return 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev demo",
        description="Shows a git push through Airlock: a throw-away git server that demands a "
        "password, a daemon that has it and a client that has not. Ends with 0 only if everything "
        "shown was so.",
        epilog="By default the client is in a container if a Docker engine answers.",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--docker", action="store_true", help="insist on a client in a container")
    place.add_argument("--no-docker", action="store_true", help="a client without a container")
    parser.add_argument(
        "--without-credential",
        action="store_true",
        help="take the password away from the daemon; must fail",
    )
    return parser.parse_args(words)


def _run(screen: Screen, engine: Engine | str, *, credential: bool) -> None:
    daemon, shim = _find_program("airlock-daemon"), _find_program("airlock-shim")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="airlock-demo-"))
        places = Places(Path(folder).resolve())
        password = secrets.token_urlsafe(24)
        server = stack.enter_context(serve_git(places.server, user=_USER, password=password))
        if credential:
            keep_credential(places, url=server.url, user=_USER, password=password)
        commit = make_commit(places, url=server.url)
        write_configuration(places, url=server.url, container=isinstance(engine, Engine))
        client: Client
        if isinstance(engine, Engine):
            client = stack.enter_context(offer_container(engine, places, shim=shim))
            extra = {"DOCKER_HOST": engine.host}
        else:
            install_shim(places, program=shim)
            client, extra = ProcessClient(places), {}
        stack.enter_context(run_daemon(places, program=daemon, extra=extra))
        _introduce(screen, engine, url=server.url, credential=credential, shim=shim)
        Story(screen, places, server, client, commit, _USER, password, daemon).tell()


def _introduce(
    screen: Screen, engine: Engine | str, *, url: str, credential: bool, shim: Path
) -> None:
    screen.title("Airlock demo: a git push from a client that holds no credential")
    screen.say(f"server: {url}, demands a user name and a password")
    if credential:
        screen.say("host:   airlock-daemon; the password is in its HOME, in git's credential store")
    else:
        screen.say(
            "host:   airlock-daemon; the password was taken away from it (--without-credential)"
        )
    if isinstance(engine, Engine):
        size = f"{shim.stat().st_size / 1000:.0f} kB"
        screen.say(f"client: a container of git and the shim ({size}): no shell, no network")
    else:
        screen.say(f"client: a process of this machine with an empty HOME; no container: {engine}")


def _find_program(name: str) -> Path:
    path = shutil.which(name)
    if path is None:
        raise DemoError(
            f"{name} is not on PATH; start the demo with ./dev demo, or install Airlock's packages"
        )
    return Path(path)


def _end_in_order(number: int, _frame: FrameType | None) -> NoReturn:
    # The exception stops everything that was started; a second signal must not interrupt that.
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    print("\nEnding what was started.", file=sys.stderr, flush=True)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A serving daemon, and calls through it."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from e2e.world.daemon import Daemon
from e2e.world.errors import BrokenError

from bench.calls import Call, Caller
from bench.errors import BenchError
from bench.pairs import Pair
from bench.setup_files import TIMED, Form, Places

Way = Literal["descriptors", "streamed"]
"""How a command's output reaches the client: by its own descriptors, or in messages."""

TITLES: Mapping[Way, str] = {"descriptors": "descriptors passed", "streamed": "streamed"}
"""The ways' names in the table."""

# The newest file format first; a daemon refuses unknown settings.
_FORMS: dict[Way, tuple[Form, ...]] = {
    "descriptors": (Form(passes=None, mounts=True), Form(passes=None, mounts=False)),
    "streamed": (
        Form(passes=False, mounts=True),
        Form(passes=None, mounts=True),
        Form(passes=None, mounts=False),
    ),
}


_WITH_BOXES = Form(passes=None, mounts=True, boxes=True)


class Deployment:
    """A running pair. `pid` is the daemon's, `note` a remark on its figures."""

    def __init__(self, pair: Pair, places: Places, daemon: Daemon) -> None:
        self.pair = pair
        self.places = places
        self.pid = daemon.pid
        self.note = ""

    def call(self, name: str, *arguments: str) -> Call:
        """A call of a tool through the shim, by the measured agent."""
        variables = base_environment(self.places.home)
        variables["AIRLOCK_SOCKET"] = str(self.places.socket(TIMED))
        return Call(str(self.places.links / name), (name, *arguments), variables)

    def find_note(self, way: Way, caller: Caller) -> str:
        """Return a note if output does not go the requested way, by checking a tool's stdout."""
        caller.time(self.call("readlink", "/proc/self/fd/1"))
        is_passed = caller.printed.decode().strip() == os.readlink(f"/proc/self/fd/{caller.stdout}")
        match way, is_passed:
            case "descriptors", False:
                return "passed no descriptors: streamed"
            case "streamed", True:
                return "cannot be made to stream: descriptors passed"
            case _:
                return ""


@contextlib.contextmanager
def deploy(
    pair: Pair,
    *,
    way: Way,
    root: Path,
    work: Path,
    descriptors: int = 0,
    prefix: Sequence[str] = (),
    patience_s: float = 30.0,
    boxes: bool = False,
) -> Iterator[Deployment]:
    """Start the daemon of a pair in the new directory `root`, for commands that run in `work`.

    With `boxes` it has commands that run in one. `descriptors` is its RLIMIT_NOFILE, 0 for ours;
    `prefix` is a command that executes the daemon, such as a profiler. Raises BenchError if it does
    not serve.
    """
    places = Places(root, work=work, shim=pair.shim)
    start = partial(
        start_daemon, pair, places, prefix, descriptors=descriptors, patience_s=patience_s
    )
    try:
        forms = (_WITH_BOXES,) if boxes else _FORMS[way]
        with _start_in_some_form(start, places, forms) as daemon:
            deployment = Deployment(pair, places, daemon)
            with contextlib.chdir(work), Caller(patience_s=patience_s) as caller:
                deployment.note = deployment.find_note(way, caller)
            yield deployment
            if not daemon.is_running():
                raise BrokenError(f"{pair.daemon} ended; it said:\n{daemon.read_words()}")
    except BrokenError as error:
        raise BenchError(str(error)) from error


def start_daemon(
    pair: Pair,
    places: Places,
    prefix: Sequence[str] = (),
    *,
    descriptors: int = 0,
    patience_s: float,
) -> Daemon:
    """Start a pair's daemon on the files of `places`; raises BrokenError."""
    return Daemon(
        places.argv([*prefix, pair.daemon]),
        said=places.said,
        sockets=places.list_sockets,
        environment=base_environment(places.home),
        descriptors=descriptors,
        patience_s=patience_s,
    )


def base_environment(home: Path) -> dict[str, str]:
    """Return the environment of everything run here, including the daemon."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
    }


def _start_in_some_form(
    start: Callable[[], Daemon], places: Places, forms: Sequence[Form]
) -> Daemon:
    *newer, oldest = forms
    for form in newer:
        places.write(form)
        with contextlib.suppress(BrokenError):
            return start()
    places.write(oldest)
    return start()

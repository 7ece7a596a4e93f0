"""``unguarded.py GUARD LAUNCHER ...``: the daemon with one guard of its boxes off.

LAUNCHER is the one that `mutants.py` has built for it, "" for the daemon's own. Like `unguarded.py`
of the brokers, this is a program of its own, and knows the packages.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from msgspec.structs import replace

from airlock_daemon.admin.cli import main
from airlock_daemon.boundary.box import bubblewrap, choice, inner_mounts, landlock, launch, runner
from airlock_daemon.boundary.box.box import Box, Closed, Memory, System
from airlock_daemon.boundary.brokers.egress.destinations import Network
from airlock_daemon.boundary.command import Bounds, launcher
from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.platform.linux.processes import Credentials
from airlock_daemon.serving.daemon import control


def _put(where: object, name: str, value: object) -> Any:
    """Replace what is called so, and return it. Raises AttributeError where there is no such."""
    real = getattr(where, name)
    setattr(where, name, value)
    return real


def _put_everywhere(name: str, real: object, value: object) -> None:
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("airlock_") and getattr(module, name, None) is real:
            setattr(module, name, value)


def _leave_out(*words: str) -> None:
    """Tell bubblewrap all but some."""
    kept = tuple(word for word in bubblewrap._BASE if word not in words)  # noqa: SLF001
    if len(kept) != len(bubblewrap._BASE) - len(words):  # noqa: SLF001
        raise ValueError(words)
    _put(bubblewrap, "_BASE", kept)


def files() -> None:
    """All that the attacks want of the host is in the box, at its own paths."""
    folder = os.path.dirname(os.environ["HOME"])

    def plan(*args: Any, **more: Any) -> Box:
        box: Box = real(*args, **more)
        return replace(box, operations=(*box.operations, System(folder, folder)))

    def spell(operation: System, *more: Any) -> list[str]:
        if operation == System(folder, folder):
            return ["--bind", folder, folder]
        return cast("list[str]", real_spell(operation, *more))

    def fence(*args: Any, **more: Any) -> Any:
        opened = real_fence(*args, **more)
        directory = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        args[-1].callback(os.close, directory)
        return replace(opened, written=(*opened.written, directory))

    real = _put(choice, "plan_box", plan)
    real_fence = _put(landlock, "_open_fence", fence)
    real_spell = _put(bubblewrap, "_spell_system", spell)


def filter() -> None:  # noqa: A001
    """The launcher has none."""


def keys() -> None:
    """The same: there is no other guard."""


def covers() -> None:
    """The launcher covers whatever has the name of what was to be covered."""


def later() -> None:
    """The launcher leaves the mounts of a box to be told of those of the host."""


def privileges() -> None:
    """The launcher gives up none of what it needs to make the box."""


def devices() -> None:
    """No container is one whose root may make some."""
    _put(Containers, "holds_devices", staticmethod(lambda _: False))


def bounds() -> None:
    """As many processes as its user may have, and a GiB in each directory in memory."""

    def plan(*args: Any, **more: Any) -> Box:
        box: Box = real(*args, **more)
        wide = (
            replace(each, size=1 << 30) if isinstance(each, Memory) else each
            for each in box.operations
        )
        return replace(box, operations=tuple(wide), bounds=Bounds())

    real = _put(choice, "plan_box", plan)


def network() -> None:
    """The host's."""

    def plan(*args: Any, **more: Any) -> Box:
        box: Box = real(*args, **more)
        return replace(box, has_network=True)

    real = _put(choice, "plan_box", plan)


def way() -> None:
    """Every destination is one that the module names."""
    _put(Network, "names", lambda *_: True)


def sockets() -> None:
    """The host's network, no filter, and its sockets at their paths."""
    files()
    network()


def ipc() -> None:
    """The host's objects of System V, and its shared memory."""

    def spell(operation: Any) -> list[str]:
        match operation:
            case Memory(target="/dev/shm"):  # noqa: S108
                return ["--bind", "/dev/shm", "/dev/shm"]  # noqa: S108
        return cast("list[str]", real(operation))

    def close(box: Box, *more: Any) -> Iterator[str]:
        kept = tuple(each for each in box.operations if each != Closed("/dev"))
        return cast("Iterator[str]", real_list(replace(box, operations=kept), *more))

    _leave_out("--unshare-ipc")
    real = _put(bubblewrap, "_spell", spell)
    real_list = _put(bubblewrap, "list_parts", close)


def processes() -> None:
    """The host's, and its /proc."""
    _leave_out("--unshare-pid", "--as-pid-1")


def environment() -> None:
    """The daemon's, for bubblewrap and for the tool, and nothing is withheld."""

    async def start(what: Any, *args: Any, **more: Any) -> Any:
        changed = replace(what, environment={**what.environment, **os.environ})
        return await real(changed, *args, **more)

    real = _put(runner, "start_boxed", start)


def descriptors() -> None:
    """One of a directory of the host comes along, and nothing is closed."""

    @contextmanager
    def prepare(*args: Any, **more: Any) -> Iterator[Any]:
        with real(*args, **more) as made:
            directory = os.open(os.environ["HOME"], os.O_PATH | os.O_DIRECTORY)
            try:
                yield replace(made, kept=(*made.kept, directory))
            finally:
                os.close(directory)

    real = _put(launch, "prepare", prepare)


def directory() -> None:
    """What a path leads to by now is what was meant."""

    def open_path(what: Any, _: Any, **_more: Any) -> int:
        return os.open(what.path, os.O_PATH | os.O_CLOEXEC)

    _put(inner_mounts, "open_shared", open_path)


def home() -> None:
    """All agents and commands keep the same one."""

    def keep(box: Box, path: str, *more: Any) -> Box:
        shared = os.path.join(os.path.dirname(os.path.dirname(path)), "all", "all")
        return cast("Box", real(box, shared, *more))

    real = _put(choice, "keep_home", keep)


def approvals() -> None:
    """The control socket is in each box, for every user, and whoever connects is a person."""

    class Open(control.ControlSocket):
        def __init__(self, path: str, *args: Any) -> None:
            super().__init__(path, *args)
            for above in (os.path.dirname(path), os.path.dirname(os.path.dirname(path))):
                os.chmod(above, 0o755)  # noqa: S103 - a guard is off

    def identify(_: object, credentials: Credentials) -> Peer:
        return Peer(pid=credentials.pid, uid=credentials.uid, kind="local")

    def claim(connection: Any) -> Credentials:
        return Credentials(real_claim(connection).pid, os.geteuid())

    files()
    _put(control, "ControlSocket", Open)
    _put(control, "_MODE", 0o666)
    _put(control, "identify", identify)
    _put(control, "refuse_own", lambda *_: None)
    real_claim = _put(control, "peer_credentials", claim)


OFF: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        *(files, filter, keys, privileges, network, sockets, ipc, processes, environment),
        *(
            approvals,
            directory,
            home,
            covers,
            later,
            descriptors,
            devices,
            bounds,
            way,
        ),
    )
}


if __name__ == "__main__":
    guard, path = sys.argv[1:3]
    del sys.argv[1:3]
    if path:
        _put_everywhere("find_launcher", launcher.find_launcher, lambda: path)
    OFF[guard]()
    main()

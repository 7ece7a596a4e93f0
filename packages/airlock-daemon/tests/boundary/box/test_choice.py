"""Tests of `boundary.box.choice`: a box is planned once, and anew when what decided has changed."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.box import choice
from airlock_daemon.boundary.box.box import Box
from airlock_daemon.boundary.box.choice import Maker, Templates
from airlock_daemon.boundary.box.system import ApiAccess
from airlock_daemon.boundary.command import Identity
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import Denied
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.paths import BUNDLE
from airlock_modules import Module, load_builtin
from boxing import box_identity, boxed_world
from container_hosts import BUBBLEWRAP

MAKER = Maker(bubblewrap=BUBBLEWRAP, identity=box_identity())


class Host:
    """A program with what it needs, below a directory, and a module that has it run in a box."""

    def __init__(self, root: Path, generation: Generation, workspace: Workspace) -> None:
        self.root = root
        self.workspace = workspace
        self.certificates = root / "certificates/ca.pem"
        self.certificates.parent.mkdir()
        self.program = self.link("links/bin/tool", self.write("opt/tool-1/bin/tool", "\x7fELF"))
        self.write("opt/tool-2/bin/tool", "\x7fELF")
        self.settings = self.link("settings", self.write("settings-1/file", "1").parent)
        self.write("settings-2/file", "2")
        module = load_builtin("git")
        assert module.sandbox is not None
        sandbox = replace(module.sandbox, read=(str(self.settings),))
        self.module: Module = replace(module, sandbox=sandbox)
        self.maker = MAKER
        self.access = ApiAccess(environment={}, files={}, published=str(root))
        environment = {"SSL_CERT_FILE": str(self.certificates), "HOME": str(root / "home")}
        self.templates = Templates(generation, environment)

    def write(self, name: str, content: str) -> Path:
        """Write an executable file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
        return path

    def link(self, name: str, target: Path) -> Path:
        """Have a link lead there, in the place of another."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        return path

    def choose(self) -> Box:
        """The box of a command, as it is planned now."""
        args = (self.module, self.maker, self.workspace, str(self.program), self.access)
        return self.templates.choose_box(*args)


def keeping(host: Host) -> Module:
    """The module of the host's command, which keeps its home."""
    sandbox = host.module.sandbox
    assert sandbox is not None
    return replace(host.module, sandbox=replace(sandbox, keeps_home=True))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Such a host."""
    workspace = Workspace.make_empty(None)
    with boxed_world() as world:
        (generation,) = world.load().generations.values()
        yield Host(tmp_path.resolve(), generation, workspace)
    workspace.close()


def interpret(host: Host) -> None:
    """Have the program be a script, without another name or place."""
    interpreter = host.write("opt/python-9/bin/python9", "\x7fELF")
    os.write(fd := os.open(host.program, os.O_WRONLY | os.O_TRUNC), f"#!{interpreter}\n".encode())
    os.close(fd)


CHANGES: dict[str, Callable[[Host], object]] = {
    "program": lambda host: host.link("links/bin/tool", host.root / "opt/tool-2/bin/tool"),
    "interpreter": interpret,
    "environment of Python": lambda host: host.write(
        "links/pyvenv.cfg", f"home = {host.write('opt/py/bin/python3', '').parent}\n"
    ),
    "read": lambda host: host.link("settings", host.root / "settings-2"),
    "certificates": lambda host: host.certificates.write_text("new"),
    "module": lambda host: setattr(host, "module", replace(host.module, bin="sh")),
    "maker": lambda host: setattr(host, "maker", replace(host.maker, identity=Identity(1, 1))),
    "access": lambda host: setattr(
        host, "access", replace(host.access, files={"/run/airlock/file": "text"})
    ),
    "name of the program": lambda host: setattr(host, "program", host.root / "opt/tool-2/bin/tool"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_box_is_planned_once_and_anew_for_what_has_changed(host: Host, change: str) -> None:
    """As if it were planned for each command."""
    host.choose()
    before = host.choose()
    again = host.choose()
    # What is planned once is the very same.
    assert all(
        old is new for old, new in zip(before.operations[:-1], again.operations, strict=False)
    )
    CHANGES[change](host)
    planned = Templates(host.templates.generation, host.templates._environment)
    host.templates, known = planned, host.templates
    fresh = host.choose()
    host.templates = known
    assert host.choose() == fresh
    assert fresh != before or change == "module"


@pytest.mark.parametrize("name", ["settings", "certificates/ca.pem"])
def test_nothing_is_shown_to_which_an_agent_chooses_the_way(host: Host, name: str) -> None:
    """By a name of the host's that leads through a workspace: a link there could be a key's."""
    generation = replace(host.templates.generation, workspaces=(str(host.root / "ours"),))
    host.templates = Templates(generation, host.templates._environment)
    host.choose()
    host.link(name, host.write("ours/file", "certificate"))
    with pytest.raises(Denied, match="an agent may write on the way to it") as refused:
        host.choose()
    assert refused.value.rule == "read"


def test_a_box_shows_the_bundle_of_the_agent_it_is_planned_for(host: Host) -> None:
    """Where programs look for the host's."""
    sources = {getattr(each, "path", "") for each in host.choose().operations}
    assert str(host.root / BUNDLE) in sources


async def test_a_home_that_a_tool_has_locked_keeps_nobody_else_waiting(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool may hold the lock of its home for ever: neither the event loop nor a stop waits."""
    begun, held, threads = threading.Event(), threading.Event(), list[int]()

    def keep(box: Box, _path: str, _identity: Identity) -> Box:
        threads.append(threading.get_ident())
        begun.set()
        if threads[0] != threading.main_thread().ident:
            held.wait()
        return box

    monkeypatch.setattr(choice, "keep_home", keep)
    box = host.choose()
    try:
        async with trio.open_nursery() as nursery:
            args = (box, keeping(host), host.maker, trio.CapacityLimiter(1))
            nursery.start_soon(host.templates.keep_home, *args)
            await trio.to_thread.run_sync(begun.wait)
            nursery.cancel_scope.cancel()
    finally:
        held.set()
    assert threads != [threading.main_thread().ident]

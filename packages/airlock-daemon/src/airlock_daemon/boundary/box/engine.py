"""What the box of docker has and no other: a listener to an engine, logins, and a list of programs.

An engine is root on its host, and a login is a credential, so nothing but the client and its
plugins runs there. The client reads files that it is told of and follows links in the workspace:
its logins are at a path that nobody can guess, no directory on the way there can be listed, and
/proc, where a process finds its own arguments, is empty.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from secrets import token_hex

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import Bound, Box, Cover, Folder, Placed, Secret, System
from airlock_daemon.boundary.brokers.asking import Ask
from airlock_daemon.boundary.brokers.docker.conversation import find_engine
from airlock_daemon.boundary.brokers.docker.logins import (
    Configuration,
    Login,
    read_answer,
    write_logins,
)
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.platform.linux.elf import find_loaded
from airlock_daemon.platform.linux.landlock import landlock_version
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.programs import Programs
from airlock_daemon.setup.trust import leads_through
from airlock_modules import Module
from airlock_wire import quote

_PLUGINS = tuple(
    f"{folder}/docker/cli-plugins/docker-{name}"
    for folder in ("/usr/libexec", "/usr/lib")
    for name in ("buildx", "compose")
)
# Commands by which the engine speaks with no registry.
_WITHOUT_REGISTRY = (
    *("attach", "commit", "cp", "diff", "events", "exec", "export", "history", "images", "import"),
    *("info", "inspect", "kill", "load", "logs", "network", "pause", "port", "ps", "rename"),
    *("restart", "rm", "rmi", "save", "start", "stats", "stop", "system", "tag", "top", "unpause"),
    *("update", "version", "volume", "wait"),
)
_VARIABLE = "DOCKER_CONFIG"
_SAID = f"${{{_VARIABLE}}}"
_PLACE = "/run/credentials"
_BYTES = 16
# It can be entered and not be listed.
_CLOSED = 0o311
_PRIVATE = 0o700


class Client(msgspec.Struct, frozen=True):
    """The programs of the box, and the host's files that it shows for them."""

    bound: Bound
    shown: tuple[str, ...]


def choose_engine(
    module: Module,
    generation: Generation,
    environment: Mapping[str, str],
    written: Sequence[str],
) -> str:
    """The host's path of the socket of the engine.

    `environment` is the daemon's. No engine is found by way of the directories that are `written`
    by agents, who could have one of their own there, and read the logins that are sent to it, or
    choose any socket of the host. Raises Denied (rule "engine").
    """
    variables = {**environment, **generation.agent.profile.env}
    return find_engine(variables, module.source, lambda path: leads_through(path, written))


def bound_client(program: str, module: Module, written: Sequence[str]) -> Client:
    """What may be executed with the client at `program`: it, and its plugins that are installed.

    No file is taken by way of the directories that are `written` by agents. Raises Denied (rule
    "programs").
    """
    if not landlock_version():
        raise _refuse_client("the kernel has no Landlock", module)
    programs, loaded, shown = list[str](), list[str](), list[str]()
    for path in (program, *filter(os.path.exists, _PLUGINS)):
        found = find_loaded(path)
        if found is None:
            raise _refuse_client(f"{quote(path)} is no program that the kernel executes", module)
        loaders = () if found.loader is None else (found.loader,)
        for each in (path, *loaders, *found.libraries):
            if leads_through(each, written):
                raise _refuse_client(f"the way to {quote(each)} leads through a workspace", module)
        # Each is a mount of its own: of those in the system's directories nothing else is code.
        programs += (os.path.realpath(path), *loaders)
        loaded += found.libraries
        shown += (os.path.realpath(path), *loaders, *found.libraries)
    return Client(
        Bound(tuple(dict.fromkeys(programs)), tuple(dict.fromkeys(loaded))),
        tuple(dict.fromkeys(shown)),
    )


def cover_processes(box: Box) -> Box:
    """The box without a /proc. Its own programs, by which it asks brokers, may be executed."""
    own = (each.target for each in box.operations if isinstance(each, System) and each.is_own)
    bound = box.bound
    if bound is not None:
        bound = replace(bound, programs=(*bound.programs, *own))
    return replace(box, bound=bound, inner=(*box.inner, Placed(Cover(), "/proc")))


def needs_logins(args: Sequence[str]) -> bool:
    """Whether a command may have docker speak with a registry.

    The value of an option that is such a word costs logins, and gives none away.
    """
    return not args or args[0] not in _WITHOUT_REGISTRY


def choose_place() -> str:
    """The directory of a configuration that nobody finds who is not told."""
    return f"{_PLACE}/{token_hex(_BYTES)}"


def tell_place(words: Sequence[str], place: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The `words` of a module with that directory, else the variable that says it.

    Without a `place`, of which no box has any, the words that would say it are left out.
    """
    if not place:
        return tuple(word for word in words if _SAID not in word), {}
    told = tuple(word.replace(_SAID, place) for word in words)
    return told, {} if told != tuple(words) else {_VARIABLE: place}


def put_logins(box: Box, place: str, content: bytes) -> Box:
    """The box with a configuration in the directory `place`."""
    file = Secret(content, f"{place}/config.json")
    made = (Folder(_PLACE, _CLOSED), Folder(place, _PRIVATE), file)
    return replace(box, operations=(*box.operations, *made))


def _refuse_client(problem: str, module: Module) -> Denied:
    return Denied(
        f"the box of this command cannot be kept to docker and its plugins: {problem}",
        layer="sandbox",
        rule="programs",
        hint="a person on the host can install docker's own client outside of every workspace, on "
        f"a kernel with Landlock, and name it as bin of {module.source}{AND_RELOAD}",
    )


log = logging.getLogger("airlock")

# Helpers at a time, and registries that are asked for at all.
_AT_ONCE = 4
_MOST = 64


async def collect_logins(configuration: Configuration, programs: Programs, ask: Ask) -> bytes:
    """The content of a configuration that has all of them, and nothing else.

    A helper is asked as docker asks it: `get`, and the registry on its standard input. Where one
    has no login, or fails, there is none for that registry, as if nobody had logged in; the
    daemon's messages say so.
    """
    found = {name: login for name, login in (configuration.auths or {}).items() if login}
    room = trio.Semaphore(_AT_ONCE)

    async def get(registry: str, helper: str) -> None:
        async with room:
            login = await _ask_helper(registry, helper, programs, ask)
        if login is not None:
            found[registry] = login

    async with trio.open_nursery() as nursery:
        for registry, helper in dict(list(configuration.list_asked())[:_MOST]).items():
            nursery.start_soon(get, registry, helper)
    return write_logins(found)


async def _ask_helper(registry: str, helper: str, programs: Programs, ask: Ask) -> Login | None:
    program = programs.find(helper)
    if program is None:
        problem = "%s is not an executable on the host: no login for %s; install it"
        log.warning(problem, helper, quote(registry))
        return None
    try:
        status, printed = await ask(program, (helper, "get"), said=registry.encode())
    except Failed as error:
        log.warning("no login for %s: %s; %s", quote(registry), error.message, error.hint)
        return None
    login = read_answer(printed) if status == 0 else None
    if login is None:
        problem = "%s has no login for %s (status %d); run docker login as the user of the daemon"
        log.warning(problem, helper, quote(registry), status)
    return login

"""The extras of a docker box: an engine's listener, logins, and an allowlist of programs.

An engine is root on its host, and a login is a credential, so only the client and its plugins run
in the box. The client reads files named by the agent and follows symlinks in the workspace.
Therefore its logins are at an unguessable path, no parent directory can be listed, and /proc, which
would reveal the client's arguments, is empty.
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
    list_spellings,
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
# Commands that need no registry.
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
# Can be entered but not listed.
_CLOSED = 0o311
_PRIVATE = 0o700


class Client(msgspec.Struct, frozen=True):
    """The box's programs, and the host files that it shows for them."""

    bound: Bound
    shown: tuple[str, ...]


def choose_engine(
    module: Module,
    generation: Generation,
    environment: Mapping[str, str],
    written: Sequence[str],
) -> str:
    """Find the host path of the engine's socket.

    `environment` is the daemon's. Refuses paths through directories `written` by agents, who could
    put their own engine there and read the logins sent to it, or select any socket of the host.
    Raises Denied (rule "engine").
    """
    variables = {**environment, **generation.agent.profile.env}
    return find_engine(variables, module.source, lambda path: leads_through(path, written))


def bound_client(program: str, module: Module, written: Sequence[str]) -> Client:
    """List what may be executed for the client at `program`: it and its installed plugins.

    Refuses paths through directories `written` by agents. Raises Denied (rule "programs").
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
        # Each gets a mount of its own: no other file in the system's directories is executable.
        programs += (os.path.realpath(path), *loaders)
        loaded += found.libraries
        shown += (os.path.realpath(path), *loaders, *found.libraries)
    return Client(
        Bound(tuple(dict.fromkeys(programs)), tuple(dict.fromkeys(loaded))),
        tuple(dict.fromkeys(shown)),
    )


def cover_processes(box: Box) -> Box:
    """Empty the box's /proc. Allow its own programs, which connect to brokers."""
    own = (each.target for each in box.operations if isinstance(each, System) and each.is_own)
    bound = box.bound
    if bound is not None:
        bound = replace(bound, programs=(*bound.programs, *own))
    return replace(box, bound=bound, inner=(*box.inner, Placed(Cover(), "/proc")))


def needs_logins(args: Sequence[str]) -> bool:
    """Whether a command may make docker contact a registry.

    Only the first word counts: after global options a command gets logins, needed or not.
    """
    return not args or args[0] not in _WITHOUT_REGISTRY


def choose_place() -> str:
    """Choose an unguessable directory for a configuration."""
    return f"{_PLACE}/{token_hex(_BYTES)}"


def tell_place(words: Sequence[str], place: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Put the directory into the module's `words`, or return the variable that names it.

    Without a `place`, as in a box without logins, the words that would contain it are omitted.
    """
    if not place:
        return tuple(word for word in words if _SAID not in word), {}
    told = tuple(word.replace(_SAID, place) for word in words)
    return told, {} if told != tuple(words) else {_VARIABLE: place}


def put_logins(box: Box, place: str, content: bytes) -> Box:
    """Add a configuration in the directory `place`."""
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

# Concurrent helpers, and the limit of registries.
_AT_ONCE = 4
_MOST = 64


async def collect_logins(configuration: Configuration, programs: Programs, ask: Ask) -> bytes:
    """The content of a configuration with all logins and nothing else.

    A helper is called as docker calls it: `get`, with the registry on stdin. A registry whose
    helper fails or has no login gets none, as if nobody had logged in; the daemon logs it.
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


async def find_login(
    configuration: Configuration, registry: str, programs: Programs, ask: Ask
) -> Login | None:
    """The login at one registry, by its name in an image's; None if there is none."""
    for name in list_spellings(registry):
        login = (configuration.auths or {}).get(name)
        if login:
            return login
    helpers = dict(configuration.list_asked())
    for name in list_spellings(registry):
        if name in helpers:
            return await _ask_helper(name, helpers[name], programs, ask)
    return None


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

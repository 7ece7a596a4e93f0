"""The logins of registries that a box is to hold, of those too that the human's helpers keep."""

import logging

import trio

from airlock_daemon.brokers.asking import Ask
from airlock_daemon.brokers.docker.logins import Configuration, Login, read_answer, write_logins
from airlock_daemon.errors import Failed
from airlock_daemon.setup.programs import Programs
from airlock_wire import quote

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

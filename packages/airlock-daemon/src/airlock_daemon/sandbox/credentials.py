"""What a box is to hold: fetched outside of it for each command, and put in as it is made.

Files of the human's are read, and commands of the human's run, by the daemon and as its user; none
of that sees a workspace. What goes wrong is told by the names in the module, never by what a file
has or a command printed.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.brokers.asking import MOST
from airlock_daemon.brokers.docker.logins import read_configuration
from airlock_daemon.brokers.means import Ask
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.platform.threads import run_in_thread
from airlock_daemon.sandbox.box import Awaited, Box, Secret, System
from airlock_daemon.sandbox.client_files import leads_through
from airlock_daemon.sandbox.hiding import locate
from airlock_daemon.sandbox.logins import collect_logins
from airlock_daemon.setup.paths import expand_home
from airlock_daemon.setup.programs import Programs
from airlock_daemon.setup.reading import read_bounded
from airlock_daemon.setup.reserved import Reserved
from airlock_modules import Credentials, HostFile, HostVariable, Logins, Printed
from airlock_wire import quote

# What stands before the path of a socket in variables that name one (DOCKER_HOST).
_UNIX = "unix://"


class Held(msgspec.Struct, frozen=True):
    """What was fetched: files and sockets by their path in the box, and variables."""

    files: Mapping[str, Secret | System]
    variables: Mapping[str, str]


class Keeper(msgspec.Struct, frozen=True, kw_only=True):
    """Fetches what boxes hold: `environment` is the daemon's, `ask` runs a program of the host.

    Files that lie in one of `workspaces`, or are reached through one, are the client's to choose,
    and never fetched; nor are those of Airlock. Threads of `lookups` read them. `source` is the
    file that says what is held, `args` what the client gave to the command that wants it.
    """

    environment: Mapping[str, str]
    programs: Programs
    ask: Ask
    lookups: trio.CapacityLimiter
    workspaces: Sequence[str]
    reserved: Reserved
    source: str
    args: Sequence[str]

    async def fetch(self, credentials: Credentials) -> Held:
        """Get all of it. Raises Denied (layer "sandbox") where something is not to be had."""
        files: dict[str, Secret | System] = {}
        for name, source in credentials.files.items():
            target = locate(name)
            match source:
                case Printed():
                    files[target] = Secret(await self.run(name, source), target)
                case Logins():
                    logins = await self._get_logins(name, source, target)
                    files[target] = Secret(logins, target)
                case _:
                    found = await self._read_in_thread(name, source, target)
                    if found is not None:
                        files[target] = found
        variables = {
            name: value
            for name, source in credentials.env.items()
            if (value := await self._find_value(name, source)) is not None
        }
        return Held(files, variables)

    async def _read_in_thread(
        self, name: str, source: HostFile, target: str
    ) -> Secret | System | None:
        read = partial(self._read, name, source, target)
        return await run_in_thread(read, limiter=self.lookups)

    async def _get_logins(self, name: str, source: Logins, target: str) -> bytes:
        found = None
        # An option's value that is such a word costs logins, and gives none away.
        if "".join(self.args[:1]) not in source.not_for:
            found = await self._read_in_thread(name, source.configuration, target)
        content = found.content if isinstance(found, Secret) else b""
        configuration = read_configuration(content)
        if configuration is None:
            raise self._refuse(name, "the human's configuration of docker is not valid")
        return await collect_logins(configuration, self.programs, self.ask)

    async def _find_value(self, name: str, source: HostVariable | Printed) -> str | None:
        if isinstance(source, Printed):
            printed = await self.run(name, source)
            value = printed.removesuffix(b"\n").removesuffix(b"\r")
            if not value or b"\0" in value:
                raise self._refuse(name, f"{_spell(source)} prints nothing that a variable can be")
            return os.fsdecode(value)
        found = self.environment.get(source.name, "")
        if found or source.is_optional:
            return found or None
        raise self._refuse(name, f"the daemon has no variable {source.name}")

    async def run(self, name: str, source: Printed) -> bytes:
        """What a command prints for what is called `name`. Raises Denied as `fetch`."""
        program = self.programs.find(self._expand(source.argv[0]))
        if program is None:
            problem = f"{quote(source.argv[0])} is not an executable on the host"
            raise self._refuse(name, problem)
        try:
            status, printed = await self.ask(program, source.argv)
        except Failed as error:
            raise self._refuse(name, error.message) from error
        if status != 0:
            raise self._refuse(name, f"{_spell(source)} ends with {status}")
        if not printed:
            raise self._refuse(name, f"{_spell(source)} prints nothing")
        if len(printed) >= MOST:
            raise self._refuse(name, f"{_spell(source)} prints {MOST >> 20} MiB or more")
        return printed

    def _read(self, name: str, source: HostFile, target: str) -> Secret | System | None:
        path = self._find_path(name, source)
        if path is None:
            return None
        real = os.path.realpath(path)
        conflict = self.reserved.private.conflict(real)
        if leads_through(path, self.workspaces):
            conflict = "the way to it leads through a workspace"
        if conflict is not None:
            raise self._refuse(name, f"{quote(path)} may not be in a box: {conflict}")
        try:
            if stat.S_ISSOCK(os.stat(real).st_mode):
                return System(real, target)
            content = read_bounded(real, most=MOST)
        except (FileNotFoundError, NotADirectoryError):
            if source.is_optional:
                return None
            raise self._refuse(name, f"there is no {quote(path)} on the host") from None
        except OSError as error:
            problem = f"{quote(path)} cannot be read: {error.strerror}"
            raise self._refuse(name, problem) from error
        if content is None:
            problem = f"{quote(path)} is no unix socket, and no file of less than {MOST >> 20} MiB"
            raise self._refuse(name, problem)
        return Secret(content, target)

    def _find_path(self, name: str, source: HostFile) -> str | None:
        """Where it is to be read; None where there is none, and need not be."""
        named = self.environment.get(source.variable, "") if source.variable else ""
        path = self._expand(named.removeprefix(_UNIX) or source.path)
        path += source.below if path else ""
        if named and not os.path.isabs(path):
            # The value may have a password in it, as a URL can.
            raise self._refuse(name, f"{source.variable} of the daemon names no file of this host")
        if path or source.is_optional:
            return path or None
        raise self._refuse(name, f"the daemon has no variable {source.variable}")

    def _expand(self, path: str) -> str:
        return expand_home(path, self.environment.get("HOME", "/"))

    def _refuse(self, name: str, problem: str) -> Denied:
        return Denied(
            f"the box of this command is to hold {quote(name)}, and {problem}",
            layer="sandbox",
            rule="credential",
            hint="a person on the host can put that right, as the user of the daemon, or change "
            f"[credentials] of {self.source}{AND_RELOAD}",
        )


def fill(box: Box, held: Held) -> Box:
    """The box with all that it awaits, as far as that is there."""
    operations = (
        held.files.get(each.target) if isinstance(each, Awaited) else each
        for each in box.operations
    )
    return replace(box, operations=tuple(each for each in operations if each is not None))


def _spell(source: Printed) -> str:
    return quote(" ".join(source.argv))

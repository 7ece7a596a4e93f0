"""The human's registry logins: what docker's configuration has, and what its helpers answer."""

import logging
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import msgspec

from airlock_daemon.errors import Failed
from airlock_daemon.setup.generation import Programs
from airlock_wire import quote

log = logging.getLogger("airlock")

# A helper's user name for an identity token.
_TOKEN_USER = "<token>"  # noqa: S105 - a name
_PREFIX = "docker-credential-"
_MAX_NAME = 64

AskHelper = Callable[[str, tuple[str, ...], bytes], Awaitable[tuple[int, bytes]]]
"""Runs a helper with its argv and stdin; returns exit status and output."""


class Login(msgspec.Struct, omit_defaults=True):
    """The parts of an `auths` entry that are kept."""

    auth: str = ""
    identity: str = msgspec.field(default="", name="identitytoken")
    registry: str = msgspec.field(default="", name="registrytoken")

    def __bool__(self) -> bool:
        """Whether it has any login."""
        return bool(self.auth or self.identity or self.registry)

    def write_header(self) -> bytes | None:
        """The login as the engine's `X-Registry-Auth`; None if it is none."""
        said: dict[str, str] = {}
        if self.identity:
            said = {"identitytoken": self.identity}
        elif self.registry:
            said = {"registrytoken": self.registry}
        else:
            with suppress(ValueError):
                user, colon, password = b64decode(self.auth).decode().partition(":")
                said = {"username": user, "password": password} if colon else {}
        return urlsafe_b64encode(msgspec.json.encode(said)) if said else None


class Configuration(msgspec.Struct):
    """The parts of a configuration that concern logins."""

    auths: dict[str, Login] | None = None
    store: str | None = msgspec.field(default=None, name="credsStore")
    helpers: dict[str, str] | None = msgspec.field(default=None, name="credHelpers")

    def list_asked(self) -> Iterator[tuple[str, str]]:
        """The registries whose logins a helper stores, with the helper's program.

        A store's registries are those that `auths` lists without a login, as docker writes them.
        """
        helpers, store = self.helpers or {}, self.store or ""
        for registry, name in helpers.items():
            if _is_name(name):
                yield registry, _PREFIX + name
        for registry, login in (self.auths or {}).items():
            if not login and registry not in helpers and _is_name(store):
                yield registry, _PREFIX + store

    @staticmethod
    def read(content: bytes) -> "Configuration | None":
        """Parse a configuration; None if docker could not parse it either."""
        try:
            return msgspec.json.decode(content or b"{}", type=Configuration)
        except msgspec.DecodeError:
            return None

    async def find_login(self, registry: str, programs: Programs, ask: AskHelper) -> Login | None:
        """The login at one registry, by its name in an image's; None if there is none.

        A helper is called as docker calls it: `get`, with the registry on stdin. One that fails or
        has no login counts as if nobody had logged in; the daemon logs it.
        """
        for name in list_spellings(registry):
            login = (self.auths or {}).get(name)
            if login:
                return login
        helpers = dict(self.list_asked())
        for name in list_spellings(registry):
            if name in helpers:
                return await _ask_helper(name, helpers[name], programs, ask)
        return None


class _Answer(msgspec.Struct):
    """A helper's answer to `get`."""

    user: str = msgspec.field(name="Username")
    secret: str = msgspec.field(name="Secret")


def read_answer(printed: bytes) -> Login | None:
    """Parse a helper's answer to `get`; None if it is malformed."""
    try:
        answer = msgspec.json.decode(printed, type=_Answer)
    except msgspec.DecodeError:
        return None
    if answer.user == _TOKEN_USER:
        return Login(identity=answer.secret)
    pair = f"{answer.user}:{answer.secret}".encode()
    return Login(auth=b64encode(pair).decode())


async def _ask_helper(
    registry: str, helper: str, programs: Programs, ask: AskHelper
) -> Login | None:
    program = programs.find(helper)
    if program is None:
        problem = "%s is not an executable on the host: no login for %s; install it"
        log.warning(problem, helper, quote(registry))
        return None
    try:
        status, printed = await ask(program, (helper, "get"), registry.encode())
    except Failed as error:
        log.warning("no login for %s: %s; %s", quote(registry), error.message, error.hint)
        return None
    login = read_answer(printed) if status == 0 else None
    if login is None:
        problem = "%s has no login for %s (status %d); run docker login as the user of the daemon"
        log.warning(problem, helper, quote(registry), status)
    return login


def list_spellings(registry: str) -> tuple[str, ...]:
    """How docker's configuration may name the registry of an image's name."""
    if registry == "docker.io":
        return ("https://index.docker.io/v1/", "index.docker.io", "docker.io")
    return (registry, f"https://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/")


def _is_name(name: str) -> bool:
    """Whether it is valid for a helper, whose program is looked up on PATH."""
    return 0 < len(name) <= _MAX_NAME and name.replace("-", "").replace("_", "").isalnum()

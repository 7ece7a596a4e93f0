"""Extracts registry logins, the only part of docker's configuration that a box gets.

The rest would configure the client: plugins, helpers, proxies, headers, contexts.
"""

from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress

import msgspec

# A helper's user name for an identity token.
_TOKEN_USER = "<token>"  # noqa: S105 - a name
_PREFIX = "docker-credential-"
_MOST_NAME = 64


class Login(msgspec.Struct, omit_defaults=True):
    """The parts of an `auths` entry that are kept."""

    auth: str = ""
    identity: str = msgspec.field(default="", name="identitytoken")
    registry: str = msgspec.field(default="", name="registrytoken")

    def __bool__(self) -> bool:
        """Whether it has any login."""
        return bool(self.auth or self.identity or self.registry)


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


class _Answer(msgspec.Struct):
    """A helper's answer to `get`."""

    user: str = msgspec.field(name="Username")
    secret: str = msgspec.field(name="Secret")


def read_configuration(content: bytes) -> Configuration | None:
    """Parse a configuration; None if docker could not parse it either."""
    try:
        return msgspec.json.decode(content or b"{}", type=Configuration)
    except msgspec.DecodeError:
        return None


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


def write_logins(logins: Mapping[str, Login]) -> bytes:
    """A configuration with these logins and nothing else."""
    return msgspec.json.encode({"auths": {name: each for name, each in logins.items() if each}})


def list_spellings(registry: str) -> tuple[str, ...]:
    """How docker's configuration may name the registry of an image's name."""
    if registry == "docker.io":
        return ("https://index.docker.io/v1/", "index.docker.io", "docker.io")
    return (registry, f"https://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/")


def write_header(login: Login) -> bytes | None:
    """A login as the engine's `X-Registry-Auth`; None if it is none."""
    said: dict[str, str] = {}
    if login.identity:
        said = {"identitytoken": login.identity}
    elif login.registry:
        said = {"registrytoken": login.registry}
    else:
        with suppress(ValueError):
            user, colon, password = b64decode(login.auth).decode().partition(":")
            said = {"username": user, "password": password} if colon else {}
    return urlsafe_b64encode(msgspec.json.encode(said)) if said else None


def _is_name(name: str) -> bool:
    """Whether it is valid for a helper, whose program is looked up on PATH."""
    return 0 < len(name) <= _MOST_NAME and name.replace("-", "").replace("_", "").isalnum()

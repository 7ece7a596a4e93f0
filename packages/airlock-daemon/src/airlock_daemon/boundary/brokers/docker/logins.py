"""The logins of registries in a configuration of docker's: what of that file a box is given.

Everything else in there would configure the client: plugins, helpers, proxies, headers, contexts.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping

import msgspec

# A helper answers with this name where the secret is a token of identity.
_TOKEN_USER = "<token>"  # noqa: S105 - a name
_PREFIX = "docker-credential-"
_MOST_NAME = 64


class Login(msgspec.Struct, omit_defaults=True):
    """One entry of `auths`, of which nothing else is kept."""

    auth: str = ""
    identity: str = msgspec.field(default="", name="identitytoken")
    registry: str = msgspec.field(default="", name="registrytoken")

    def __bool__(self) -> bool:
        """Whether there is any login in it."""
        return bool(self.auth or self.identity or self.registry)


class Configuration(msgspec.Struct):
    """The members of a configuration that concern logins."""

    auths: dict[str, Login] | None = None
    store: str | None = msgspec.field(default=None, name="credsStore")
    helpers: dict[str, str] | None = msgspec.field(default=None, name="credHelpers")

    def list_asked(self) -> Iterator[tuple[str, str]]:
        """Registries whose login a helper keeps, and the helper's program.

        Of a store these are the registries that `auths` has without one: docker lists them so.
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
    """Read it; None for what docker could not read either."""
    try:
        return msgspec.json.decode(content or b"{}", type=Configuration)
    except msgspec.DecodeError:
        return None


def read_answer(printed: bytes) -> Login | None:
    """The login in a helper's answer to `get`; None where it has said no such thing."""
    try:
        answer = msgspec.json.decode(printed, type=_Answer)
    except msgspec.DecodeError:
        return None
    if answer.user == _TOKEN_USER:
        return Login(identity=answer.secret)
    pair = f"{answer.user}:{answer.secret}".encode()
    return Login(auth=b64encode(pair).decode())


def write_logins(logins: Mapping[str, Login]) -> bytes:
    """A configuration that has these and nothing else."""
    return msgspec.json.encode({"auths": {name: each for name, each in logins.items() if each}})


def _is_name(name: str) -> bool:
    """Whether a helper may be called so: its program is searched on PATH."""
    return 0 < len(name) <= _MOST_NAME and name.replace("-", "").replace("_", "").isalnum()

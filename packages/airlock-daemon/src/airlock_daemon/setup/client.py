"""What a container or box gets to use its agent's APIs: variables and files, no credential.

Every value is the same for all of an agent's containers and boxes, and none is secret: a
placeholder only works at this agent's broker.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import msgspec

from airlock_daemon.files import write_text
from airlock_daemon.setup.paths import (
    BUNDLE,
    CA,
    CLIENT_ENV,
    PUBLISHED,
    SOCKET_DIRECTORY,
    TRUSTSTORE,
)
from airlock_daemon.setup.state import State

if TYPE_CHECKING:
    from airlock_daemon.setup.agents import AgentApis

TRUSTSTORE_PASSWORD = "changeit"  # noqa: S105 - Java's own word for what is public
_PROXY_PORT = 13128
_PROXY = f"http://127.0.0.1:{_PROXY_PORT}"
_DIRECT = ("localhost", "127.0.0.1", "::1")
_FILES = {name: f"{SOCKET_DIRECTORY}/{name}" for name in PUBLISHED}
_JAVA = {
    "javax.net.ssl.trustStore": _FILES[TRUSTSTORE],
    "javax.net.ssl.trustStorePassword": TRUSTSTORE_PASSWORD,
    "https.proxyHost": "127.0.0.1",
    "https.proxyPort": str(_PROXY_PORT),
    "http.nonProxyHosts": "localhost|127.*|[::1]",
}
_BUNDLE_VARIABLES = (
    "SSL_CERT_FILE",  # OpenSSL, Go, Rust, uv, httpx
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "NPM_CONFIG_CAFILE",
)
# HTTP_PROXY is not set, as only HTTPS passes.
_VARIABLES = {
    "HTTPS_PROXY": _PROXY,
    "https_proxy": _PROXY,
    "NO_PROXY": ",".join(_DIRECT),
    "no_proxy": ",".join(_DIRECT),
    **dict.fromkeys(_BUNDLE_VARIABLES, _FILES[BUNDLE]),
    # Node has its own CA certificates, and adds this one to them.
    "NODE_EXTRA_CA_CERTS": _FILES[CA],
    "NODE_USE_ENV_PROXY": "1",
    "JAVA_TOOL_OPTIONS": " ".join(f"-D{name}={value}" for name, value in _JAVA.items()),
}


class ContainerClient(msgspec.Struct, frozen=True, kw_only=True):
    """A container's variables, and the texts of files by their path in the container.

    `placeholders` has that of each API's credential, by the API's name.
    """

    PROXY_PORT: ClassVar[int] = _PROXY_PORT
    """The port of the shim in a container (airlock-shim --exec), and of the launcher in a box."""

    STORES: ClassVar[tuple[str, ...]] = (
        "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
        "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
        "/etc/ssl/ca-bundle.pem",  # SUSE
        "/etc/ssl/cert.pem",  # Alpine, and what was built with LibreSSL
    )
    """Paths of the system's trusted CA certificates."""

    VARIABLES: ClassVar[Mapping[str, str]] = _VARIABLES
    """The variables of every container and box whose agent has an API."""

    environment: dict[str, str]
    files: dict[str, str]
    placeholders: dict[str, str] = {}

    @classmethod
    def describe(cls, state: State, agent: str, apis: "AgentApis") -> Self:
        """What an agent's container gets to use `apis`.

        `{placeholder}` in a module's `[client]` is that of its first API with a credential. Raises
        AirlockError.
        """
        placeholders = _find_placeholders(state, agent, apis)
        environment, files = dict(_VARIABLES), dict[str, str]()
        for names, client in apis.clients:
            own = next((placeholders[name] for name in names if name in placeholders), "")
            filled = client.fill(placeholder=own, ca=_FILES[CA], bundle=_FILES[BUNDLE])
            environment |= filled.env
            files |= filled.files
        return cls(environment=environment, files=files, placeholders=placeholders)

    @property
    def unpublished(self) -> dict[str, str]:
        """The files that are not in SOCKET_DIRECTORY, where the daemon writes the others."""
        return {path: text for path, text in self.files.items() if not _is_published(path)}

    @staticmethod
    def list_published(apis: "AgentApis") -> tuple[str, ...]:
        """The names of all files that an agent's socket directory may have beside the sockets."""
        paths = (path for _, client in apis.clients for path in client.files if _is_published(path))
        own = dict.fromkeys(os.path.basename(path) for path in paths)
        return (*PUBLISHED, CLIENT_ENV, *own)

    def publish(self, directory: str) -> None:
        """Write CLIENT_ENV into an agent's socket directory, for `airlock-shim --exec`.

        Writes the container's files in SOCKET_DIRECTORY too. Raises AirlockError.
        """
        lines = (f"{name}={value}\n" for name, value in sorted(self.environment.items()))
        texts = {CLIENT_ENV: "".join(lines)}
        texts |= {
            os.path.basename(path): text for path, text in self.files.items() if _is_published(path)
        }
        for name, text in texts.items():
            # A container that mounts the directory may have put a link to a host file there.
            write_text(os.path.join(directory, name), text, mode=0o644, follows=False)


def _find_placeholders(state: State, agent: str, apis: "AgentApis") -> dict[str, str]:
    """The placeholder of each API's credential, by the API's name.

    Constant while the agent is registered, and equal for all APIs of a module whose placeholders
    have the same form. Raises AirlockError.
    """
    from airlock_modules.apis import make_placeholder  # noqa: PLC0415

    held = {api.name: api for api in apis.apis if api.credential and api.credential.placeholder}
    if not held:
        return {}
    key = state.secrets.find_placeholder_key(agent)
    return {
        name: make_placeholder(api.credential.placeholder, key, api.module)
        for name, api in held.items()
        if api.credential
    }


def _is_published(path: str) -> bool:
    """Whether a container's file lies in SOCKET_DIRECTORY, where the daemon writes it."""
    folder, name = os.path.split(path)
    return folder == SOCKET_DIRECTORY and name not in (*PUBLISHED, CLIENT_ENV)

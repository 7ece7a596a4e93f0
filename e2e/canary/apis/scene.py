"""A daemon that grants APIs, a client of its `https.sock`, and what attacks got by it."""

import os
import shutil
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from e2e.canary.apis.service import COOKIE, Service, serving
from e2e.canary.attack import Attack
from e2e.canary.run import Result, check_log
from e2e.world.daemon import Daemon
from e2e.world.errors import PATIENCE_S, BrokenError
from e2e.world.installation import Installation, quote

_UNGUARDED = Path(__file__).with_name("unguarded.py")
TOKEN = "ghp_" + "Canary51d0" * 4
_ANSWER_S = 30.0
_TICK_S = 0.01
# What the profile of every agent lets it do, as the service notes it.
_GRANTED = (
    "POST /upload",
    "GET /ok",
    "HEAD /ok",
    "POST /ok",
    "GET /rate_limit",
    "POST /graphql createIssue",
)
_NOT_GRANTED = ("/ok/secrets", "deleteRepository")

_MODULE = """\
[[api]]
hosts = ["localhost", "127.0.0.1"]
ports = [{port}]
ca = {authority}
allow = ["GET,POST /ok/**", "POST /upload/**", "POST /graphql", "GET /repos/{{repositories}}/**"]
metadata = ["name"]
deny = ["* /ok/secrets/**"]
secret = ["POST /ok/keys/**"]
forms = ["POST /upload/**"]
upgrade = ["GET /ok/socket"]
graphql = {{ mutations = ["createIssue"] }}

[api.credential]
as = "header"
file = {token}
placeholder = "ghp_{{36}}"

[client]
env = {{ GH_TOKEN = "{{placeholder}}" }}
"""
_PROFILE = """\
commands = ["gh"]
[workspace]
host = true
[gh]
repositories = ["acme/app"]
"""


class ApiScene:
    """The agent `narrow` has a token for its repositories, `wide` one that reaches further."""

    def __init__(self, places: Installation, services: dict[str, Service]) -> None:
        self.places = places
        self.services = services

    def published(self, agent: str) -> Path:
        """The directory of an agent's socket, certificates and variables."""
        return self.places.sockets / agent

    def fill(self, text: str, agent: str) -> str:
        """Put the placeholder of an agent for PLACEHOLDER, and its service for HOST and PORT."""
        lines = (self.published(agent) / "client.env").read_text().splitlines()
        placeholder = dict(line.split("=", 1) for line in lines)["GH_TOKEN"]
        port = self.services[agent].port
        text = text.replace("PLACEHOLDER", placeholder).replace("HOST", f"localhost:{port}")
        return text.replace("PORT", str(port))

    def say(
        self, says: str, *, agent: str = "narrow", to: str = "localhost:PORT", then: str = ""
    ) -> bytes:
        """Say something to a destination by CONNECT and TLS; all that is answered.

        After the answer, say `then`.
        """
        authority = self.fill(to, agent)
        below = socket.socket(socket.AF_UNIX)
        below.settimeout(_ANSWER_S)
        with closing(below):
            below.connect(str(self.published(agent) / "https.sock"))
            below.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            answered = _read_answer(below, "CONNECT")
            if not answered.startswith(b"200"):
                return answered
            # An attacker looks at no certificate.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(below, server_hostname=authority.rpartition(":")[0]) as tls:
                tls.sendall(self.fill(says, agent).encode("latin-1"))
                answered = _read_answer(tls, "GET")
                if then:
                    with suppress(OSError):
                        tls.sendall(self.fill(then, agent).encode("latin-1"))
                        answered += _read_answer(tls, "GET")
                return answered

    def find_leaks(self, seen: bytes) -> Iterator[str]:
        """A line for each thing that a client got which it may not."""
        spelled = (TOKEN.encode(), TOKEN.encode().hex().encode())
        if any(each in seen for each in spelled):
            yield "the client sees the token"
        if seen.startswith(b"101"):
            yield "the client speaks another protocol than was granted"
        if COOKIE.encode() in seen:
            yield "the client sees a cookie"
        for service in self.services.values():
            for done in service.take():
                is_granted = done.startswith(_GRANTED) and not any(
                    each in done for each in _NOT_GRANTED
                )
                # What is asked to find out the scopes of a token changes nothing.
                is_probe = done == "GET /rate_limit"
                if not is_granted or (service.scopes and not is_probe):
                    yield f"the service: {done}"


def carry_out(attacks: Iterable[Attack], *, without: str | None = None) -> list[Result]:
    """Try each attack, with the guard `without` off if one is named.

    What is granted must be served first, and the log be whole afterwards; raises BrokenError.
    """
    with running(without) as scene:
        request = "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer PLACEHOLDER\r\n\r\n"
        seen = scene.say(request)
        if without is None and not seen.startswith(b"200"):
            raise BrokenError(f"what is granted is not served: {seen!r}")
        list(scene.find_leaks(b""))
        results = [Result(each, _try(each, scene)) for each in attacks]
        if without is None:
            check_log(scene.places.log, {})
    return results


def _try(attack: Attack, scene: ApiScene) -> tuple[str, ...]:
    try:
        seen = attack.run(scene)
    except OSError as error:
        return (f"not served: {error}",)
    return tuple(scene.find_leaks(seen))


@contextmanager
def running(without: str | None) -> Iterator[ApiScene]:
    """A daemon, and the services that it grants."""
    # pytest's own directories are too deep for a socket's path.
    root = Path(tempfile.mkdtemp(prefix="airlock-")).resolve()
    try:
        token = root / "token"
        token.touch(0o600)
        token.write_text(f"{TOKEN}\n")
        places = Installation(root / "daemon")
        places.enable(["gh"])
        with (
            serving(root / "narrow.pem") as narrow,
            serving(root / "wide.pem", scopes="repo, gist") as wide,
        ):
            services = {"narrow": narrow, "wide": wide}
            for agent, service in services.items():
                words = {"authority": quote(service.authority), "token": quote(token)}
                module = _MODULE.format(port=service.port, **words)
                places.add_agent(agent, profile=_PROFILE, modules={"gh": module})
            scene = ApiScene(places, services)
            with Daemon(
                places.argv([sys.executable, *_find_program(without)]),
                said=places.said,
                sockets=places.list_sockets,
                environment={"HOME": str(root), "PATH": os.defpath},
            ) as daemon:
                for agent in services:
                    _wait_for(scene.published(agent) / "ca-bundle.pem", daemon)
                yield scene
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _find_program(without: str | None) -> list[str]:
    return ["-m", "airlock_daemon"] if without is None else [str(_UNGUARDED), without]


def _wait_for(path: Path, daemon: Daemon) -> None:
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > until:
            raise BrokenError(f"{path.name} is not published:\n{daemon.read_words()}")
        time.sleep(_TICK_S)


def _read_answer(connection: socket.socket, method: str) -> bytes:
    """Status, reason, headers and body of an answer, as far as it came."""
    seen = b""
    # One that is cut is no fault: what came of it is looked at.
    with suppress(HTTPException, ConnectionError, ssl.SSLError):
        response = HTTPResponse(connection, method=method)
        response.begin()
        seen = f"{response.status} {response.reason}\n{response.headers}".encode()
        while method != "CONNECT" and (piece := response.read1()):
            seen += piece
    return seen

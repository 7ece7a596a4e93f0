"""``unguarded.py GUARD ...``: the daemon with one guard off, so that attacks are seen to work.

It is a program of its own, like any daemon under test, and the one place below e2e that knows the
packages: to switch a guard off is to know where it is.
"""

import base64
import ssl
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import msgspec

import airlock_wire.text
from airlock_daemon.admin.cli import main
from airlock_daemon.boundary.brokers.git import (
    conversation,
    credential,
    over_ssh,
    rules,
    server_words,
    smart_http,
)
from airlock_daemon.boundary.brokers.git.rules import SshRemote, UrlRemote
from airlock_daemon.boundary.brokers.git.smart_http import SmartHttp, UrlConversation
from airlock_daemon.boundary.brokers.http import HttpClient, Request, Trust, client
from airlock_daemon.boundary.brokers.http.proxy import Proxy
from airlock_daemon.boundary.brokers.sign import signing as sign_conversation
from airlock_daemon.boundary.brokers.ssh import destination as ssh_command
from airlock_daemon.boundary.brokers.ssh import session
from airlock_daemon.boundary.brokers.ssh.destination import Known, SshSettings
from airlock_daemon.boundary.brokers.ssh.session import Admitted
from airlock_daemon.errors import Denied
from airlock_daemon.serving.request import broker, git_broker, ssh_broker
from airlock_modules import Query, RemoteRequest, read_host_line
from airlock_modules.remotes import destination, ssh_words
from airlock_modules.remotes import signing as signed_object
from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.git_protocol import PacketReader
from airlock_modules.remotes.grants import read_place
from airlock_modules.remotes.push import PushReader
from airlock_modules.remotes.signing import Unsigned


def _put(where: object, name: str, value: object) -> Any:
    """Replace what is called so, and return it. Raises AttributeError where there is no such."""
    real = getattr(where, name)
    setattr(where, name, value)
    return real


def words() -> None:
    """What the client says stands behind the daemon's own words."""

    async def admit(
        args: tuple[str, ...], generation: Any, requester: Any
    ) -> SshRemote | UrlRemote:
        if args[0] != "ssh":
            asked = rules.read_remote(args, generation)
            return await rules.admit_url(asked, generation, requester)
        ssh = over_ssh.profile_words(generation.agent.profile.env, home="/")
        return SshRemote(
            asked=ssh_words.read_ssh_words(("forge", "git-upload-pack 'x'")),
            program=generation.programs.find(ssh[0]),
            argv=(*ssh, *ssh_command.FORCED, *args[1:]),
            is_pinned=True,
        )

    _put(git_broker, "admit_errand", admit)

    async def read_service(self: Any, streams: Any) -> RemoteRequest:
        word = (await streams.read()).decode().partition(" ")[2].strip()
        return RemoteRequest(destination=self._remote.destination, service=word)

    # What a helper is to connect with is a service, whatever it is called.
    _put(UrlConversation, "_read_service", read_service)
    _put(sign_conversation, "read_words", lambda _: sign_conversation.SIGN)


def sessions() -> None:
    """The same of ssh itself."""

    async def admit(args: tuple[str, ...], module: Any, generation: Any, _: Any) -> Admitted:
        return Admitted(
            asked=Query(words=args),
            program=generation.programs.find(module.bin),
            argv=(module.bin, *module.prepend, *ssh_command.FORCED, "-oLogLevel=INFO", *args),
        )

    _put(ssh_broker, "admit_session", admit)


def logins() -> None:
    """Every host is granted by its name."""
    _put(session, "find_host", lambda _, login: read_host_line(login.host))


def paths() -> None:
    """A path is what the client says."""
    for where in (ssh_words, destination):
        _put(where, "read_path", lambda text: text)


def places() -> None:
    """Every place is granted by its name."""
    _put(rules, "find_place", lambda *_: read_place("host/path"))


def addresses() -> None:
    """Every address is public."""
    for where in (ssh_command, rules):
        _put(where, "find_inner", lambda _: None)


def known() -> None:
    """Every host is known, and its address is public: it is one of this host all the same."""

    async def find(*_: object) -> Known:
        return Known(frozenset(("any",)), is_revoked=False)

    addresses()
    _put(ssh_command.Pinning, "_known", find)


def proxies() -> None:
    """Whoever is reached through a proxy is reached."""

    def confine(asked: RemoteRequest, place: Any, remote: UrlRemote) -> None:
        if not isinstance(remote.origin.route, Proxy):
            confine_all(asked, place, remote)

    async def look(self: Any, pinned: tuple[str, ...]) -> SshSettings:
        found: SshSettings = await look_all(self, pinned)
        return msgspec.structs.replace(found, route=None)

    confine_all = _put(rules, "_confine", confine)
    look_all = _put(ssh_command.Pinning, "_settings", look)


def refs() -> None:
    """Every push may do what it says."""
    _put(rules, "judge_push", lambda *_: ())


def lists() -> None:
    """What cannot be read in a list is passed over."""

    def read_or_not(self: PushReader, packet: bytes) -> None:
        try:
            read(self, packet)
        except RemoteError:
            return

    def take_or_not(self: PacketReader) -> Any:
        try:
            return take(self)
        except RemoteError:
            self.size = len(self.received)
            return b""

    read = _put(PushReader, "_take", read_or_not)
    take = _put(PacketReader, "take", take_or_not)


def options() -> None:
    """The human's configuration says everything."""
    _put(ssh_command, "FORCED", ("-oBatchMode=yes",))


def environment() -> None:
    """The client's variables are those of ssh."""

    def build_with(request: Any, *rest: Any) -> dict[str, str]:
        return {**build(request, *rest), **request.env}

    build = _put(broker, "build_variables", build_with)


def streams() -> None:
    """A descriptor is believed to be what it must be."""

    async def read(transport: Any, turns: Any) -> Any:
        return await transport.read(turns)

    _put(conversation, "_read", read)


def texts() -> None:
    """What a client says is shown as it is."""
    real = airlock_wire.text.quote
    for name, module in list(sys.modules.items()):
        if name.startswith("airlock_") and getattr(module, "quote", None) is real:
            _put(module, "quote", lambda text, **_: text)

    async def read(_: Any, answer: Any) -> tuple[str, ...]:
        return ((await answer.read()).decode(),)

    _put(server_words.ServerWords, "read_message", read)


def accounts() -> None:
    """What git answers first is used, whoever it is for."""

    async def find(destination: Any, git: str, requester: Any) -> str:
        said = f"protocol={destination.scheme}\nhost={credential.host_of(destination)}\n"
        said += f"path={destination.path.lstrip('/')}\n\n"
        _, printed = await requester.run_program(
            git, ("git", "credential", "fill"), said=said.encode()
        )
        fields = dict(line.partition(b"=")[::2] for line in printed.split(b"\n"))
        pair = fields[b"username"] + b":" + fields[b"password"]
        return "Basic " + base64.b64encode(pair).decode()

    _put(smart_http, "find_authorization", find)


def redirects() -> None:
    """A redirect is followed, with the account that there is."""

    def note(self: Any, answer: Any) -> Denied:
        self.location = answer.headers.get("location", "")
        return cast("Denied", refuse(self, answer))

    async def follow(self: Any, request: Request, kind: str, take: Any) -> None:
        try:
            await ask(self, request, kind, take)
        except Denied as error:
            if error.rule != "redirect":
                raise
            old = self._remote.destination
            here = f"{old.scheme}://{old.host}:{old.port_number}{request.target}"
            to = urlsplit(urljoin(here, self.location))
            origin = msgspec.structs.replace(
                self._remote.origin,
                host=to.hostname,
                port=to.port,
                trust=self._remote.origin.trust if to.scheme == "https" else None,
            )
            path = to.path.removesuffix("/info/refs").removesuffix("/git-upload-pack")
            there = msgspec.structs.replace(old, host=to.hostname, port=to.port, path=path)
            self._remote = msgspec.structs.replace(self._remote, destination=there, origin=origin)
            connect = partial(client.connect, origin, self._requester.lookups)
            self._client = HttpClient(connect, self._client._turns)  # noqa: SLF001
            target = to.path + (f"?{to.query}" if to.query else "")
            await follow(self, msgspec.structs.replace(request, target=target), kind, take)

    refuse = _put(SmartHttp, "_redirected", note)
    ask = _put(SmartHttp, "_ask", follow)


def certificates() -> None:
    """Any certificate is one."""

    def make(trust: Any) -> ssl.SSLContext:
        context: ssl.SSLContext = load(trust)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    load = _put(Trust, "make_context", make)


def answers() -> None:
    """Of two lengths either is good."""

    def read(head: Any) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in head.headers}

    _put(client, "_read_headers", read)


def signing() -> None:
    """Whatever is sent is a commit of a person who is granted."""

    def read(_data: bytes) -> Unsigned:
        people: Any = (("committer", "agent@acme.example"),)
        return Unsigned(kind="commit", id="0" * 40, title="x", people=people, digest="")

    _put(sign_conversation, "read_unsigned", read)
    _put(sign_conversation, "MAX_BYTES", 1 << 30)


def signers() -> None:
    """Every kind is granted, and everybody, in any spelling."""
    _put(sign_conversation, "judge_signing", lambda *_, **__: None)
    _put(signed_object, "_read_email", lambda *_: "agent@acme.example")


OFF: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        *(words, sessions, logins, paths, places, addresses, known, proxies, refs),
        *(lists, options, environment, streams, texts, accounts, redirects, certificates, answers),
        *(signing, signers),
    )
}


if __name__ == "__main__":
    OFF[sys.argv.pop(1)]()
    main()

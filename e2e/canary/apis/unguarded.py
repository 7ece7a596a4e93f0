"""``unguarded.py GUARD ...``: the daemon with one guard of its broker for APIs off.

The guard may be the daemon's or its worker's, so that the process which forks workers is started
from here too, as ``unguarded.py GUARD --parent FD``. Besides `canary/unguarded.py` and that of
boxes it is the one place below e2e that knows the packages.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import h11

from airlock_daemon.admin.cli import main
from airlock_daemon.boundary.brokers.http import searching
from airlock_daemon.boundary.brokers.https import __main__ as parent
from airlock_daemon.boundary.brokers.https import conversation, exchange, tunnel
from airlock_daemon.serving.daemon import https_parent
from airlock_modules.apis import (
    Api,
    BadHead,
    Exchanged,
    Head,
    Verdict,
    matches_host,
)
from airlock_modules.apis import credentials as api_credentials
from airlock_modules.apis.uploads import Seal


def _put(where: object, name: str, value: object) -> Any:
    """Replace what is called so, and return it. Raises AttributeError where there is no such."""
    real = getattr(where, name)
    setattr(where, name, value)
    return real


def heads() -> None:
    """A head is what h11 reads in it."""

    def read(raw: bytes, authority: str, **_: object) -> Head:
        talk = h11.Connection(h11.SERVER)
        talk.receive_data(raw)
        try:
            request = talk.next_event()
        except h11.RemoteProtocolError as error:
            raise BadHead(str(error)) from error
        if not isinstance(request, h11.Request):
            raise BadHead(authority)
        path, query = request.target.decode().partition("?")[::2]
        return Head(request.method.decode(), path, query, tuple(request.headers))

    _put(conversation, "read_head", read)


def bodies() -> None:
    """A body is sent on, whatever the service makes of it."""
    _put(Head, "has_body", False)


def headers() -> None:
    """Every header passes."""
    _put(api_credentials, "is_sent_on", lambda *_: True)


def credentials() -> None:
    """Whatever credential comes is sent on."""

    def pass_on(head: Head, *_: object) -> Exchanged:
        return Exchanged(head.headers, head.query, (), has_secret=False)

    _put(conversation, "uses_placeholder", lambda *_: False)
    _put(conversation, "exchange", pass_on)


def rules() -> None:
    """Every operation is granted."""
    _put(Api, "judge", lambda *_: Verdict(None, "all"))
    _put(conversation, "_read_upgrade", lambda *_: "websocket")


def graphql() -> None:
    """Whatever a body of GraphQL asks for is granted."""
    _put(Api, "_judge_graphql", lambda *_: Verdict(None, "all"))


def forms() -> None:
    """A form is what its method says."""
    _put(Api, "_judge_form", lambda *_: None)


def uploads() -> None:
    """Whoever has begun an upload, an agent goes on with it."""
    _put(Seal, "open", lambda _, head, __: head)


def metadata() -> None:
    """The metadata of an upload is not looked at."""
    _put(conversation, "check_metadata", lambda *_: None)


def hosts() -> None:
    """A host is found by the beginning of its name."""

    def serves(self: Api, host: str, port: int) -> bool:
        return port in self.ports and any(
            matches_host(each, host) or host.startswith(each) for each in self.hosts
        )

    _put(Api, "serves", serves)
    # Addresses of this host need naming, which is another wall.
    _put(tunnel._Hosts, "names", lambda *_: True)  # noqa: SLF001


def answers() -> None:
    """An answer is passed on as it is."""
    _put(searching.Search, "feed", lambda _, data: data)
    _put(searching.Search, "is_in", lambda *_: False)


def parts() -> None:
    """A request for a part of an answer is passed on."""
    _put(api_credentials, "_OF_PARTS", frozenset())


def protocols() -> None:
    """A service goes on with whatever protocol it likes."""
    _put(exchange, "_is_asked", lambda *_: True)


def cookies() -> None:
    """An answer's headers are passed on."""
    _put(exchange, "_DROPPED", frozenset({b"connection"}))


def scopes() -> None:
    """A token may reach anything."""
    _put(Api, "is_too_wide", lambda *_: False)


OFF: dict[str, Callable[[], None]] = {
    f"api-{each.__name__}": each
    for each in (
        *(heads, headers, credentials, rules, graphql, hosts, answers, forms, uploads, metadata),
        *(parts, protocols, cookies, scopes, bodies),
    )
}


class _Popen(subprocess.Popen[bytes]):
    """Starts the process that forks workers from this file, so that its guard is off too."""

    def __init__(self, words: list[str], **more: Any) -> None:
        super().__init__([sys.executable, __file__, guard, "--parent", words[-1]], **more)


class _Subprocess:
    """What `https_parent` has of `subprocess`."""

    DEVNULL = subprocess.DEVNULL
    PIPE = subprocess.PIPE
    Popen = _Popen


if __name__ == "__main__":
    guard = sys.argv.pop(1)
    OFF[guard]()
    if sys.argv[1] == "--parent":
        parent.main(int(sys.argv[2]))
    else:
        _put(https_parent, "subprocess", _Subprocess)
        main()

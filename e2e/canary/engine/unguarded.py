"""``unguarded.py GUARD ...``: the daemon with one guard of its broker for a docker engine off.

It is a program of its own, and one of the few places below e2e that know the packages.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from msgspec.structs import replace

from airlock_daemon.admin.cli import main
from airlock_daemon.boundary.brokers.docker import broker, lists, lookups, making
from airlock_daemon.boundary.identity.containers import Container
from airlock_daemon.serving.request import exchange
from airlock_daemon.setup import engines
from airlock_modules.engine import (
    FoundCall,
    Ownership,
    OwnImages,
    Refused,
    Root,
    View,
    answers,
    container,
    strict,
)
from airlock_modules.engine import names as names_of_objects
from airlock_modules.engine.calls import Call


def _put(where: object, name: str, value: object) -> Any:
    """Replace what is called so, and return it. Raises AttributeError where there is no such."""
    real = getattr(where, name)
    setattr(where, name, value)
    return real


def calls() -> None:
    """Every call is made as it is."""

    def find(method: str, path: str, query: str, **words: Any) -> FoundCall:
        try:
            found: FoundCall = real(method, path, query, **words)
        except Refused:
            call = Call(
                name="any",
                method=method,
                path=path,
                query={},
                sends="bytes" if method == "POST" else "none",
                answers="stream",
            )
            found = FoundCall(call=call, target=None, query=dict(parse_qsl(query)))
        return found

    real = _put(broker, "find_call", find)


def processes() -> None:
    """ps gets the client's arguments."""

    def find(method: str, path: str, query: str, **words: Any) -> FoundCall:
        asks = path.endswith("/top")
        found: FoundCall = real(method, path, "" if asks else query, **words)
        return replace(found, query=dict(parse_qsl(query))) if asks else found

    real = _put(broker, "find_call", find)


def labels() -> None:
    """A client's labels are the engine's."""
    _put(names_of_objects, "outer_label", lambda label: label)


def owned() -> None:
    """Everything is the agent's."""
    _put(Ownership, "owns", lambda *_: True)


def label() -> None:
    """An object is the agent's by its prefix."""
    _put(Ownership, "owns", lambda self, name, _: str(name).lstrip("/").startswith(self.prefix))


def prefix() -> None:
    """An object is the agent's by its label."""
    _put(
        Ownership, "owns", lambda self, _, labels: (labels or {}).get("airlock.agent") == self.agent
    )


def installation() -> None:
    """An object is the agent's by the agent's name alone."""
    begin = "airlock-{}-"
    _put(
        Ownership,
        "owns",
        lambda self, name, labels: (
            str(name).lstrip("/").startswith(begin.format(self.agent))
            and labels.get("airlock.agent") == self.agent
        ),
    )


def isolated() -> None:
    """The host has an address in each network."""
    _put(lookups, "confine_network", lambda *_: {"Internal": True})
    _put(lookups, "judge_network", lambda *_: "")


def builder() -> None:
    """A builder runs commands as whomever a client names."""
    _put(container.ContainerOrder, "run_as", lambda self, _: self)


def read() -> None:
    """What a person's container may be looked at for is all that the engine tells."""
    rewriters = _put(answers, "_REWRITERS", {})
    answers.__dict__["_REWRITERS"] = {**rewriters, "container.inspect": lambda answer, _: answer}


def narrow() -> None:
    """A prune has the client's filters alone."""
    _put(making.Making, "_narrow", lambda self: self._query.get("filters") or {})


def _create(change: Callable[[dict[str, Any], bytes], None], clean: bool) -> None:
    def create(body: bytes, **words: Any) -> Any:
        given = json.loads(body)
        if clean:
            given = {**given, "HostConfig": {}}
        order = real(json.dumps(given).encode(), **words)
        made = dict(order.body)
        change(made, body)
        return replace(order, body=made)

    real = _put(making, "read_container", create)


def fields() -> None:
    """The host's configuration of a container is what the client writes."""

    def change(made: dict[str, Any], body: bytes) -> None:
        made["HostConfig"] = {**made["HostConfig"], **json.loads(body).get("HostConfig", {})}

    _create(change, clean=True)


def bodies() -> None:
    """A body is read as Python reads it, and sent so that Go reads it its own way."""

    def merge(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            had = found.get(name)
            is_both = isinstance(had, dict) and isinstance(value, dict)
            found[name] = {**had, **value} if is_both and had is not None else value
        return found

    def change(made: dict[str, Any], body: bytes) -> None:
        as_go = json.loads(body, object_pairs_hook=merge)
        made["HostConfig"] = {**made["HostConfig"], **as_go["HostConfig"]}

    _put(strict, "_read_pairs", dict)
    _create(change, clean=False)


def binds() -> None:
    """A path of the host is a workspace."""
    root = Root(inner="/", outer="/", user="")

    def place(bind: Any, *_: object) -> tuple[dict[str, Any], Root]:
        return {"Type": "bind", "Source": bind.source, "Target": bind.target}, root

    _put(container, "_place_bind", place)


def links() -> None:
    """A directory below a workspace is bound by its path."""

    def place(bind: Any, grant: Any) -> Any:
        mount, root = real(bind, grant)
        if root is not None and mount["Type"] == "volume":
            source = os.path.join(root.outer, mount["VolumeOptions"]["Subpath"])
            mount = {"Type": "bind", "Source": source, "Target": bind.target}
        return mount, root

    real = _put(container, "_place_bind", place)


def owner() -> None:
    """A container with a workspace runs as it likes."""
    _put(container, "_run_as", lambda *_: None)


def answers_() -> None:
    """Answers are as the engine gives them."""
    _put(broker, "rewrite", lambda _, answer, __: answer)
    # One without objects has all its members.
    given: Any = _put(lists, "rewrite", lambda *words: words[1] or given(*words))


def images_() -> None:
    """Every image may be used."""
    _put(View, "sees_image", lambda *_: True)


def names() -> None:
    """A name that an agent gives is the engine's."""
    _put(OwnImages, "outer", lambda _, image: str(image))


def ports() -> None:
    """A port leads to whatever container has it, in any network."""
    owned()
    _put(lookups.Lookups, "require_internal", lambda _, found: found)


def sockets() -> None:
    """What stands in the agent's directory is mounted as its socket."""
    _put(engines, "find_link", lambda agent, name: f"{agent}/{name}")


def bridge() -> None:
    """A volume is the one that a client names, whosever it is."""

    async def find(self: Any, kind: str, text: str) -> Any:
        found = None if kind != "volume" else await self._get(f"/volumes/{text}")
        return await real(self, kind, text) if found is None else lookups.Found(id=text, name=text)

    real = _put(lookups.Lookups, "_find_named", find)


def claims() -> None:
    """A client that the kernel does not see is in the container that it names."""

    def identify(request: Any, call: Any) -> Any:
        peer = real(request, call)
        claimed = request.container_id
        is_believed = peer.kind == "unseen" and claimed is not None
        return replace(peer, kind="container", container=claimed) if is_believed else peer

    real = _put(exchange, "_identify", identify)
    _put(Container, "proves", lambda *_: True)


_GUARDS = {
    "engine-calls": calls,
    "engine-processes": processes,
    "engine-labels": labels,
    "engine-owned": owned,
    "engine-label": label,
    "engine-prefix": prefix,
    "engine-installation": installation,
    "engine-isolated": isolated,
    "engine-builder": builder,
    "engine-read": read,
    "engine-narrow": narrow,
    "engine-fields": fields,
    "engine-bodies": bodies,
    "engine-binds": binds,
    "engine-links": links,
    "engine-owner": owner,
    "engine-answers": answers_,
    "engine-images": images_,
    "engine-bridge": bridge,
    "engine-claims": claims,
    "engine-names": names,
    "engine-ports": ports,
    "engine-sockets": sockets,
}

if __name__ == "__main__":
    _GUARDS[sys.argv.pop(1)]()
    main()

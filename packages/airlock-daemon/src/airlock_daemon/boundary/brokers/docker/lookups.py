"""Looks up what a client's call names, and makes what each agent has by default.

A name is looked up with the agent's prefix first, then as an id; what is not the agent's is as if
it were not there. The call is then made by full ids: a name could change hands in between.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote as quote_path

import msgspec

from airlock_daemon.boundary.brokers.docker.connections import request_json, unusual
from airlock_daemon.boundary.brokers.docker.lists import ask_list
from airlock_daemon.boundary.fairness import TurnSource
from airlock_daemon.errors import Failed
from airlock_modules.engine import (
    JOINS,
    NEWEST,
    OLDEST,
    OWN_NETWORK,
    ROOT_LABEL,
    USER_LABEL,
    ImageConfig,
    Reference,
    Refused,
    Version,
    View,
    confine_network,
    encode,
    find_excess,
    is_image_id,
    is_isolated,
    judge_network,
    list_names,
    read_image_config,
    read_image_name,
    read_ports,
)
from airlock_wire import quote

_HEX = re.compile("[0-9a-f]{1,64}")
_FULL_ID = re.compile("(?:sha256:)?[0-9a-f]{64}")
# As many as an agent may have. An engine has addresses for some thirty networks.
_MAX = {"network": 12, "volume": 100}
_PLURAL = {"container": "containers", "network": "networks", "volume": "volumes"}
_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An object of the engine. `id` is what a call is sent with; `name` is the engine's.

    `user` is whom a container with a workspace runs as, else "". `is_own` is false for a person's
    container that may be looked at. `leads` says where a network leads that is not granted
    now; in one that `is_isolated` the host has no address. `ports` are
    those of a container at the agent's loopback, `config` is that of an image or a container.
    `excess` is what a container has that is not granted (`find_excess`), `networks` are its own, or
    `joined` is the id of the container whose network it has; `is_free` says that it has a
    workspace, and its first process would not run as `user`. `names` are those of an image in full,
    as the agent or a registry calls it.
    """

    id: str
    name: str
    user: str = ""
    is_own: bool = True
    leads: str = ""
    is_isolated: bool = False
    ports: Mapping[int, int] = {}
    config: ImageConfig = ImageConfig()
    excess: str = ""
    is_free: bool = False
    networks: tuple[str, ...] = ()
    joined: str = ""
    names: tuple[str, ...] = ()


class Lookups:
    """The lookups of one call, by the engine at the socket `engine`."""

    def __init__(
        self, engine: str, view: View, turns: TurnSource, *, may_read: bool = False
    ) -> None:
        """With `may_read` a person's container that is granted for reading is found."""
        self._engine = engine
        self._view = view
        self._turns = turns
        self._may_read = may_read
        major, minor = view.version
        self._base = f"/v{major}.{minor}"
        self._found: dict[Reference, Found | None] = {}

    def bind(self, reference: Reference, found: Found | None) -> None:
        """Have a reference stand for what was judged, None for nothing, whatever it is by now."""
        self._found[reference] = found

    async def find_all(
        self, references: Iterable[Reference], *, makes: bool = False
    ) -> dict[Reference, str]:
        """The ids of all references. Raises Refused and Failed.

        With `makes`, a volume that is not there is made, as docker does for a container.
        """
        found: dict[Reference, str] = {}
        for each in references:
            if each not in found:
                found[each] = self.require_internal(await self.find(each, makes=makes)).id
        return found

    def require_internal(self, found: Found) -> Found:
        """Refuse a network of the agent's that leads out, made when that was granted."""
        if found.leads:
            raise self._refuse_network(found.name, found.leads)
        return found

    def _refuse_network(self, name: str, leads: str) -> Refused:
        name = self._view.ownership.inner(name)
        return Refused(
            f"the network {name} {leads}, which is not granted any more",
            hint=f"remove it, and have it made again: docker network rm {name}",
            rule="network",
        )

    async def require_granted(self, container: Found, *, starts: bool = False) -> None:
        """Refuse to let a container do something, or start, if what it has is not granted now.

        Raises Refused and Failed.
        """
        excess = container.excess
        if starts and container.is_free:
            excess = excess or "a user of its own beside a workspace"
        if excess:
            name = self._view.ownership.inner(container.name)
            raise Refused(
                f"the container {name} has {excess}, which is not granted now",
                hint=f"remove it, and make it again: docker rm --force {name}",
                rule="granted",
            )
        for network in () if self._view.grant.is_bridged else container.networks:
            answer = await self._get(f"/networks/{network}") or {}
            name = str(answer.get("Name", ""))
            # To another one a person has connected it.
            is_agents = name.startswith(self._view.ownership.prefix)
            if is_agents and (leads := judge_network(answer, self._view.grant)):
                raise self._refuse_network(name, leads)
        if container.joined:
            # Its network, and the host's ports there, are this one's, too.
            joined = await self._find_by_id(container.joined)
            if joined is None:
                raise missing("container", container.joined)
            await self.require_granted(joined)

    async def find(self, reference: Reference, *, makes: bool = False) -> Found:
        """Look up a reference, once in a call. Raises Refused with status 404, and Failed."""
        if reference not in self._found:
            self._found[reference] = await self._find(reference, makes=makes)
        if (found := self._found[reference]) is None:
            raise missing(reference.kind, reference.text)
        return found

    async def _find(self, reference: Reference, *, makes: bool) -> Found:
        kind, text = reference.kind, reference.text
        if kind == "image":
            found = await self._find_image(text)
        elif kind == "exec":
            found = await self._find_exec(text)
        elif kind == "root":
            found = await self._make_root(text)
        else:
            found = await self._find_named(kind, text)
        if found is None and kind == "network" and text == OWN_NETWORK:
            found = await self._make_network()
        if found is None and kind == "volume" and makes:
            found = await self._make_volume(text)
        if found is None:
            # By a 404 for anything else docker's client would pull the image, and try again.
            is_for_pulling = kind == "image" or not makes
            status = HTTPStatus.NOT_FOUND if is_for_pulling else HTTPStatus.BAD_REQUEST
            raise missing(kind, text, status)
        return found

    async def _find_named(self, kind: str, text: str) -> Found | None:
        names = [self._view.ownership.outer(text)]
        if (_HEX.fullmatch(text) and kind != "volume") or (self._may_read and kind == "container"):
            names.append(text)
        for name in names:
            answer = await self._get(f"/{_PLURAL[kind]}/{name}")
            if answer is not None and (found := self._read(kind, answer)) is not None:
                return found
        return None

    def _read(self, kind: str, answer: Mapping[str, Any]) -> Found | None:
        """An object that is the agent's, or a container that it may look at."""
        name = str(answer.get("Name", ""))
        labels = (answer.get("Config") or {} if kind == "container" else answer).get("Labels") or {}
        is_own = self._view.ownership.owns(name, labels)
        is_read = self._may_read and kind == "container" and self._view.grant.may_read(name)
        if not is_own and not is_read:
            return None
        identity = name if kind == "volume" else str(answer.get("Id", ""))
        if kind != "volume" and not _FULL_ID.fullmatch(identity):
            return None
        is_container = kind == "container"
        is_judged = is_own and is_container
        grant, ownership = self._view.grant, self._view.ownership
        user = (str(labels.get(USER_LABEL, "")) or self._find_owner(answer)) if is_own else ""
        mode = str((answer.get("HostConfig") or {}).get("NetworkMode", ""))
        runs_as = str((answer.get("Config") or {}).get("User", "")) if is_container else ""
        return Found(
            id=identity,
            name=name.removeprefix("/"),
            user=user,
            is_own=is_own,
            leads=judge_network(answer, grant) if kind == "network" else "",
            is_isolated=kind == "network" and is_isolated(answer),
            ports=read_ports(labels) if is_judged else {},
            config=read_image_config(answer) if is_container else ImageConfig(),
            excess=find_excess(answer, grant, ownership) if is_judged else "",
            is_free=bool(user) and runs_as != user,
            networks=tuple(_list_networks(answer)) if is_judged else (),
            joined=mode.partition(JOINS)[2] if is_judged else "",
        )

    def _find_owner(self, container: Mapping[str, Any]) -> str:
        """The owner of the workspace that a container mounts, unless the user there is free now.

        It may have been when the container was made.
        """
        grant, ownership = self._view.grant, self._view.ownership
        mounts = container.get("Mounts") or ()
        seen = {each.get(key) for each in mounts for key in ("Source", "Name")}
        owners = (
            root.user
            for root in grant.roots
            if root.outer in seen or ownership.root_volume(root.outer) in seen
        )
        return "" if grant.root_binds else next(owners, "")

    async def _find_image(self, text: str) -> Found | None:
        wanted = [text]
        is_builder = text == self._view.grant.builder
        is_name = not is_image_id(text) and not is_builder
        if is_name and not (image := read_image_name(text)).digest:
            # A name that the agent gave has precedence for it, but for the image that a person has
            # granted more rights.
            wanted.insert(0, self._view.own_images.outer(image))
        for name in wanted:
            answer = await self._get(f"/images/{quote_path(name, safe=':')}")
            identity = "" if answer is None else str(answer.get("Id", ""))
            told = [] if answer is None else list_names(answer)
            if answer is not None and self._view.sees_image(identity, told):
                config, names = read_image_config(answer), self._view.own_images.spell(told)
                made = Found(id=identity, name=text, config=config, names=names)
                return made if _FULL_ID.fullmatch(identity) else None
        return None

    async def _find_exec(self, text: str) -> Found | None:
        if not _HEX.fullmatch(text):
            return None
        answer = await self._get(f"/exec/{text}")
        if answer is None or answer.get("ID") != text:
            return None
        found = await self._find_by_id(str(answer.get("ContainerID", "")))
        return None if found is None else msgspec.structs.replace(found, id=text)

    async def _find_by_id(self, identity: str) -> Found | None:
        """An own container by its full id alone: another one may have that id as its name."""
        if not _FULL_ID.fullmatch(identity):
            return None
        container = await self._get(f"/containers/{identity}")
        if container is None or container.get("Id") != identity:
            return None
        found = self._read("container", container)
        return found if found is not None and found.is_own else None

    async def _get(self, path: str) -> Mapping[str, Any] | None:
        """What the engine says of an object; None if there is none."""
        suffix = "" if path.startswith(("/networks/", "/volumes/")) else "/json"
        target = self._base + path + suffix
        status, answer = await request_json(self._engine, "GET", target)
        if status == HTTPStatus.OK and isinstance(answer, dict):
            return answer
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
            return None
        raise unusual(status, answer, self._view)

    async def _make_network(self) -> Found:
        """Make the network that the agent's containers are in by default."""
        ownership = self._view.ownership
        body = {
            "Name": ownership.outer(OWN_NETWORK),
            "CheckDuplicate": True,
            "Driver": "bridge",
            "Labels": ownership.add_labels({}),
            **confine_network(self._view.grant),
        }
        hint = (
            "try again; where the engine has no addresses left, remove networks that nobody uses "
            "(docker network prune)"
        )
        await self._post("/networks/create", body, hint=hint)
        found = await self._find_named("network", OWN_NETWORK)
        if found is None:
            raise missing("network", OWN_NETWORK)
        return found

    async def _make_volume(self, text: str) -> Found | None:
        await self.require_room("volume")
        ownership = self._view.ownership
        body = {
            "Name": ownership.outer(text),
            "Driver": "local",
            "Labels": ownership.add_labels({}),
        }
        await self._post("/volumes/create", body)
        return await self._find_named("volume", text)

    async def _make_root(self, root: str) -> Found:
        """The volume that is a workspace. The engine opens what is below it without leaving it."""
        if self._view.version < (1, 45):
            raise Refused(
                "this engine mounts a workspace alone, and no directory below it",
                hint="mount the workspace itself; docker 26 and newer mount what is below",
                rule="subpath",
            )
        name = self._view.ownership.root_volume(root)
        labels = self._view.ownership.add_labels({ROOT_LABEL: root})
        options = {"type": "none", "o": "bind", "device": root}
        body = {"Name": name, "Driver": "local", "DriverOpts": options, "Labels": labels}
        await self._post("/volumes/create", body)
        # The engine answers with one of this name that was there before, whatever it is.
        answer = await self._get(f"/volumes/{name}")
        made = {} if answer is None else answer
        is_same = made.get("Labels") == labels and made.get("Options") == options
        if not is_same or made.get("Driver") != "local":
            raise Failed(
                f"the volume {name} of the host's engine is not the workspace {quote(root)}",
                hint=f"a person on the host can look at it, and remove it: docker volume rm {name}",
            )
        return Found(id=name, name=name)

    async def has_volume(self, name: str) -> bool:
        """Whether the engine has a volume of this name there, whosoever it is. Raises Failed."""
        return await self._get(f"/volumes/{name}") is not None

    async def require_room(self, kind: str) -> None:
        """Refuse to make one more than the agent may have. Raises Refused and Failed."""
        filters = {"label": self._view.ownership.filters}
        path, turns = f"/{kind}s", self._turns
        found, dropped = await ask_list(
            self._engine, path, filters, self._view, pick=lambda _: (1,), turns=turns
        )
        if (count := len(found) + dropped) >= _MAX[kind]:
            raise Refused(
                f"the agent has {count} {kind}s, as many as it may have",
                hint=f"remove some: docker {kind} prune",
                rule=f"{kind}s",
            )

    async def _post(self, path: str, body: object, *, hint: str = "try again") -> None:
        status, answer = await request_json(self._engine, "POST", self._base + path, encode(body))
        # A conflict: another call of the agent made it meanwhile.
        if status >= HTTPStatus.BAD_REQUEST and status != HTTPStatus.CONFLICT:
            raise unusual(status, answer, self._view, hint=hint)


def _list_networks(container: Mapping[str, Any]) -> Iterator[str]:
    """The ids of a container's networks that lead somewhere, or their names before its start."""
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    for name, end in networks.items():
        if name != "none":
            yield quote_path(str((end or {}).get("NetworkID") or name), safe="")


class EngineKind(msgspec.Struct, frozen=True):
    """What the engine at a socket is: the newest version that both it and the table of calls have,
    and whether it runs in a user namespace, as an ordinary user.
    """

    engine: str
    version: Version
    is_rootless: bool


async def find_kind(engine: str) -> EngineKind:
    """Ask an engine what it is. Raises Failed."""
    version = await find_version(engine)
    status, answer = await request_json(engine, "GET", f"/v{version[0]}.{version[1]}/info")
    options = answer.get("SecurityOptions") if isinstance(answer, dict) else ()
    if status != HTTPStatus.OK:
        raise _unknown(status)
    is_rootless = any(str(each).startswith("name=rootless") for each in options or ())
    return EngineKind(engine, version, is_rootless)


async def find_version(engine: str) -> Version:
    """The newest version that both the engine and the table of calls have. Raises Failed."""
    status, answer = await request_json(engine, "GET", "/version")
    told = answer.get("ApiVersion", "") if isinstance(answer, dict) else ""
    found = _VERSION.fullmatch(str(told))
    if status != HTTPStatus.OK or found is None:
        raise _unknown(status)
    version = min((int(found[1]), int(found[2])), NEWEST)
    if version < OLDEST:
        raise Failed(
            f"the docker engine of the host speaks version {told} of its API alone",
            hint=f"install docker 20.10 or newer, which speaks {OLDEST[0]}.{OLDEST[1]}",
        )
    return version


def _unknown(status: int) -> Failed:
    return Failed(
        f"the docker engine of the host answered {status} when it was asked what it is",
        hint="try again; a person on the host finds the engine's own messages there",
    )


def missing(kind: str, text: str, status: HTTPStatus = HTTPStatus.NOT_FOUND) -> Refused:
    """The refusal of what is not there, or is another's: the engine's own status."""
    return Refused(
        f"No such {kind}: {text}",
        hint=f"an agent sees the {kind}s that are its own, and those that its profile grants",
        status=status,
        rule="missing",
    )

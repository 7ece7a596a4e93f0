"""Makes the request to a docker engine from a call: looked up, written anew, with logins."""

import os
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import msgspec

from airlock_daemon.boundary.brokers.docker.connections import request_json
from airlock_daemon.boundary.brokers.docker.images import ImageRecord, Images, Named
from airlock_daemon.boundary.brokers.docker.lookups import Found, Lookups
from airlock_daemon.boundary.brokers.docker.ports import choose_ports, list_own
from airlock_daemon.boundary.connection.descriptors import Closer
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.errors import AirlockError
from airlock_modules.engine import (
    ROOT_LABEL,
    ContainerOrder,
    DockerGrant,
    Egress,
    FoundCall,
    ImageName,
    NoConfiguration,
    Ownership,
    Reference,
    Refused,
    View,
    encode,
    find_builder,
    find_connected,
    is_builder,
    is_image_id,
    join_tag,
    list_references,
    malformed,
    order_builder,
    read_commit,
    read_connection,
    read_container,
    read_disconnection,
    read_exec,
    read_exec_start,
    read_image_name,
    read_network,
    read_volume,
    require_ordinary,
    resolve,
    restore_words,
    shorten_name,
)
from airlock_modules.operation import Operation

if TYPE_CHECKING:
    from airlock_modules.engine.archive import ArchiveRewriter

_NO_LOGIN = urlsafe_b64encode(b"{}")
# Each is several calls of the engine.
_MAX_LOADED = 200
_NO_SHIM = (
    "airlock: the engine does not see the shim on the host: the container has no way out, and its "
    "ports may not be reached"
)
_NO_SOCKETS = (
    "airlock: the engine does not see the agent's sockets on the host: the container has no way out"
)
_OWN_NAMES = {"container.list", "network.list", "volume.list"}


class CallResult(msgspec.Struct, frozen=True, kw_only=True):
    """One call's outcome, for its record: bytes to and from the engine, its status, or the error.

    `operation` is None if the call was not understood; `changes` says that it may do more than
    read. Without status and error the client or the agent's service has gone. `approval` is that of
    a person.
    """

    operation: Operation | None
    changes: bool = False
    status: int | None = None
    sent: int = 0
    received: int = 0
    error: AirlockError | None = None
    approval: object | None = None


Details = tuple[tuple[str, str], ...]
Forms = tuple[tuple[str, ...], ...]


class EngineAgent(Protocol):
    """The agent, as the broker sees it."""

    turns: TurnQueue
    closer: Closer

    @property
    def ownership(self) -> Ownership:
        """What marks the agent's objects at the engine. Raises AirlockError."""

    @property
    def engine(self) -> str:
        """The path of the engine's socket. Raises AirlockError."""

    @property
    def grant(self) -> DockerGrant:
        """What its present profile grants. Raises AirlockError if that is nothing."""

    def may_require_approval(self, operation: Operation) -> bool:
        """Whether an operation of this kind may need an approval."""

    async def admit(
        self,
        operation: Operation,
        details: Details,
        *,
        forms: Forms,
        changes: bool,
        note: str = "",
    ) -> object | None:
        """Judge an operation, and record its start; returns the approval that was needed.

        It may wait for a person, who is shown `details`, pairs of a label and a text, and `note`,
        which says what the answer does not cover. `forms` are the words of all operations that it
        may amount to. Raises Denied and Failed.
        """

    def record(self, result: CallResult) -> None:
        """Record the end of a call."""

    async def find_login(self, image: ImageName) -> bytes | None:
        """The human's login at an image's registry, as `X-Registry-Auth`; None for none."""

    async def find_egress(self, architecture: str) -> Egress | None:
        """What a container of an image for this processor gets besides, None for nothing.

        Raises AirlockError.
        """


Note = Callable[[object], Awaitable[list[dict[str, str]]]]
"""Notes what a call that succeeded has made; returns further lines for a stream.

Gets the answer's JSON; for a stream the digests that it told.
"""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it is made: the request to the engine, and what is looked at in its answer.

    `note` is called before the client has the whole answer. An archive is rewritten by `sent` or
    `received`.
    """

    method: str
    target: str
    body: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    is_raw: bool = False
    warnings: tuple[str, ...] = ()
    note: Note | None = None
    sent: "ArchiveRewriter | NoConfiguration | None" = None
    received: "ArchiveRewriter | None" = None
    starts: Found | None = None
    """The container that starts."""
    otherwise: "Prepared | None" = None
    """What is sent if the engine finds a fault in this."""


class Making:
    """Makes the request to the engine from a call."""

    def __init__(
        self,
        agent: EngineAgent,
        view: View,
        record: ImageRecord,
        found: FoundCall,
        body: bytes,
        *,
        has_listener: bool,
        judged: Mapping[Reference, Found | None],
    ) -> None:
        """`record` has the agent's images; calls that make some add to it.

        `has_listener` tells whether ports of containers are published (`PublishedPorts`). `judged`
        is what an approval was judged by: the call is made with that, or not at all.
        """
        self._has_listener = has_listener
        self._agent = agent
        self._images = Images(agent.engine, view, record, agent.turns)
        self._body = body
        self._view = view
        self._found = found
        self._query = dict(found.query)
        self._lookups = Lookups(agent.engine, view, agent.turns, may_read=found.call.reads)
        for reference, image in judged.items():
            self._lookups.bind(reference, image)

    async def prepare(self) -> Prepared:
        """Look up what the call names, and write it anew. Raises Refused and AirlockError."""
        found, query = self._found, self._query
        name = found.call.name
        if name in _OWN_NAMES or name.endswith(".prune") or name == "system.events":
            query["filters"] = self._narrow()
        if name == "image.list" and (given := _as_filters(query)).get("reference"):
            outer = [self._view.own_images.outer_pattern(each) for each in given["reference"]]
            query["filters"] = {**given, "reference": [*given["reference"], *outer]}
        if name == "container.remove":
            # Volumes without a name go with their container: nobody could find them again.
            query["v"] = True
        handlers: Mapping[str, Callable[[], Awaitable[Prepared]]] = {
            "container.create": self._create_container,
            "container.logs": self._log,
            "container.rename": self._rename_container,
            "container.start": self._start_container,
            "container.restart": self._start_container,
            "container.unpause": self._resume,
            "container.attach": self._resume,
            "container.archive": self._copy,
            "container.extract": self._copy,
            "exec.create": self._create_exec,
            "exec.start": self._start_exec,
            "network.create": self._create_network,
            "network.connect": self._connect,
            "network.disconnect": self._disconnect,
            "volume.create": self._create_volume,
            "image.pull": self._pull,
            "image.inspect": self._inspect_image,
            "image.push": self._push,
            "image.tag": self._tag,
            "image.import": self._import,
            "image.load": self._load,
            "image.save": self._save,
            "container.commit": self._commit,
        }
        handler = handlers.get(name)
        if handler is not None:
            return await handler()
        return await self._write(None, is_raw=found.call.answers == "raw")

    async def _write(
        self,
        body: object,
        *,
        makes: bool = False,
        is_raw: bool = False,
        target: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        note: Note | None = None,
    ) -> Prepared:
        """Look up all references and write the request; `target` replaces the id in its path."""
        found = msgspec.structs.replace(self._found, query=self._query)
        wanted = [*list_references(body), *list_references(self._query)]
        ids = await self._lookups.find_all(wanted, makes=makes)
        if found.target is not None:
            ids[found.target] = target or (await self._lookups.find(found.target)).id
        return Prepared(
            method=found.call.method,
            target=found.write(self._view.version, ids),
            body=None if body is None else encode(resolve(body, ids)),
            headers=headers,
            is_raw=is_raw,
            note=note,
        )

    def _narrow(self) -> dict[str, list[Any]]:
        """Filters that list the agent's own alone, unless a person's may be looked at."""
        given = _as_filters(self._query)
        if "name" in given:
            names = given["name"]
            given["name"] = [self._view.ownership.outer_pattern(each) for each in names]
            if self._reads_persons:
                given["name"] += names
        if self._reads_persons:
            return given
        given["label"] = [*given.get("label", []), *self._view.ownership.filters]
        if self._found.call.name.endswith(".prune"):
            given["label!"] = [ROOT_LABEL]
        return given

    @property
    def _reads_persons(self) -> bool:
        """Whether containers of a person are listed, too."""
        return self._found.call.name == "container.list" and bool(self._view.grant.read)

    async def _log(self) -> Prepared:
        """Ask for the lines of a container; a person's comes without what its environment adds."""
        if not (await self._lookups.find(self._need_target())).is_own:
            self._query.pop("details", None)
        return await self._write(None)

    async def _create_container(self) -> Prepared:
        grant, ownership = self._view.grant, self._view.ownership
        name = str(self._query.get("name") or os.urandom(6).hex()).removeprefix("/")
        if is_builder(name):
            order = order_builder(name, grant=grant, ownership=ownership)
        else:
            order = read_container(self._body, name=name, grant=grant, ownership=ownership)
        for each in list_references(order.body):
            if each.kind == "container":  # whose network it joins
                await self._lookups.require_granted(await self._lookups.find(each))
        own, dropped = await list_own(self._agent.engine, self._view, self._agent.turns)
        if len(own) + dropped >= grant.containers:
            raise Refused(
                f"the agent has {grant.containers} containers, as many as it may have",
                hint="remove some: docker container prune",
                rule="containers",
            )
        self._query["name"] = ownership.outer(name)
        wanted = dict(order.ports)
        [reference] = list_references(order.body["Image"])
        image = (await self._lookups.find(reference)).config
        if is_builder(name):
            # Root there could have the ids of the host's root mapped, by the capabilities.
            order = order.run_as(require_ordinary(image.user))
        if order.publishes_all:
            numbers = (port.partition("/") for port in image.exposed)
            wanted = {int(port): 0 for port, _, kind in numbers if kind == "tcp"} | wanted
        ports = choose_ports(wanted, own)
        order = order.publish(ports).cover(image)
        unpublished = list(order.unpublished)
        if not self._has_listener:
            unpublished += [f"{port}/tcp" for port in ports.values()]
        warnings = tuple(
            f"airlock: port {port} is published nowhere; containers of the agent reach it by the "
            "name of this one"
            for port in unpublished
        )
        egress = await self._agent.find_egress(image.architecture)
        if egress is None:
            return await self._prepare_order(order, warnings)
        # An engine of another user, or in a machine of its own, may not see what is to be mounted.
        warned = (*warnings, _NO_SHIM) if ports or egress.directory else warnings
        prepared = await self._prepare_order(order, warned)
        if egress.directory:
            shim = order.lead_out(Egress(shim=egress.shim), image)
            prepared = await self._prepare_order(shim, (*warnings, _NO_SOCKETS), prepared)
        return await self._prepare_order(order.lead_out(egress, image), warnings, prepared)

    async def _prepare_order(
        self, order: ContainerOrder, warnings: tuple[str, ...], otherwise: Prepared | None = None
    ) -> Prepared:
        prepared = await self._write(order.body, makes=True)
        return msgspec.structs.replace(prepared, warnings=warnings, otherwise=otherwise)

    async def _start_container(self) -> Prepared:
        container = await self._lookups.find(self._need_target())
        await self._lookups.require_granted(container, starts=True)
        prepared = await self._write(None, target=container.id)
        return msgspec.structs.replace(prepared, starts=container)

    async def _resume(self) -> Prepared:
        await self._lookups.require_granted(await self._lookups.find(self._need_target()))
        return await self._write(None, is_raw=self._found.call.answers == "raw")

    async def _rename_container(self) -> Prepared:
        name = str(self._query.get("name", "")).removeprefix("/")
        self._query["name"] = self._view.ownership.outer(name)
        return await self._write(None)

    async def _copy(self) -> Prepared:
        """Copy from or to a container: the engine does that as root, also in a workspace."""
        container = await self._lookups.find(self._need_target())
        await self._lookups.require_granted(container)
        is_configured = is_builder(self._view.ownership.inner(container.name))
        if is_configured and self._found.call.name == "container.extract":
            return msgspec.structs.replace(await self._write(None), sent=NoConfiguration())
        if container.user:
            raise Refused(
                "files of a builder, or of a container that mounts a workspace, are not copied by "
                "the engine",
                hint="use a command in it: docker exec CONTAINER tar -c PATH | tar -x",
                rule="copy",
            )
        return await self._write(None)

    async def _create_exec(self) -> Prepared:
        container = await self._lookups.find(self._need_target())
        await self._lookups.require_granted(container)
        return await self._write(read_exec(self._body, user=container.user))

    async def _start_exec(self) -> Prepared:
        order = read_exec_start(self._body)
        await self._lookups.require_granted(await self._lookups.find(self._need_target()))
        return await self._write(order, is_raw=not order.get("Detach"))

    async def _create_network(self) -> Prepared:
        grant, ownership = self._view.grant, self._view.ownership
        await self._lookups.require_room("network")
        return await self._write(read_network(self._body, grant=grant, ownership=ownership))

    async def _connect(self) -> Prepared:
        reference = find_connected(self._body)
        if not isinstance(reference, Reference):
            raise TypeError(reference)
        self._lookups.require_internal(await self._lookups.find(self._need_target()))
        container = await self._lookups.find(reference)
        name = self._view.ownership.inner(container.name)
        return await self._write(read_connection(self._body, name=name))

    async def _disconnect(self) -> Prepared:
        return await self._write(read_disconnection(self._body))

    async def _create_volume(self) -> Prepared:
        made = os.urandom(16).hex()
        order = read_volume(self._body, ownership=self._view.ownership, name=made)
        if not await self._lookups.has_volume(str(order["Name"])):
            await self._lookups.require_room("volume")
        return await self._write(order)

    async def _inspect_image(self) -> Prepared:
        target = self._need_target()
        if not is_image_id(target.text):
            builder = find_builder(read_image_name(target.text), self._view.grant)
            target = Reference("image", str(builder))
        return await self._write(None, target=(await self._lookups.find(target)).id)

    async def _pull(self) -> Prepared:
        image = join_tag(str(self._query.get("fromImage", "")), self._query.get("tag"))
        image = find_builder(image, self._view.grant)
        if not self._view.grant.may_pull(image):
            raise Refused(
                f"pulling {image} is not granted",
                hint="a person on the host can add it to images in [docker] of the profile",
                rule="images",
            )
        is_persons = await self._images.is_persons(image)
        self._query |= {"fromImage": image.repository, "tag": image.digest or image.tag}
        login = await self._agent.find_login(image)
        headers = () if login is None else ((b"X-Registry-Auth", login),)

        async def note(digests: object) -> list[dict[str, str]]:
            for digest in digests if isinstance(digests, list) else ():
                await self._images.note_pulled(image, digest, is_persons=is_persons)
            return []

        return await self._write(None, headers=headers, note=note)

    async def _push(self) -> Prepared:
        target = self._need_target()
        image = join_tag(target.text.rpartition(":")[0], self._query.get("tag"))
        if is_image_id(target.text) or not self._view.grant.may_push(image):
            raise Refused(
                f"pushing {image} is not granted",
                hint="a person on the host can add it to push in [docker] of the profile",
                rule="push",
            )
        if "tag" not in self._query:
            raise Refused(
                "pushing all tags at once is not granted",
                hint="push them one by one",
                rule="push",
            )
        # First: it may take seconds, in which the agent could give the name to another image.
        login = await self._agent.find_login(image)
        found = await self._lookups.find(Reference("image", str(image)))
        if await self._images.find(str(image)) != found.id:
            # The engine pushes what has the name there, which may be a person's.
            raise Refused(
                f"{image} is an image of this agent's, and another one at the engine",
                hint="tag it again, or use another tag",
                rule="push",
            )
        self._query["tag"] = image.tag
        headers = ((b"X-Registry-Auth", login or _NO_LOGIN),)
        return await self._write(None, target=image.repository, headers=headers)

    async def _name_image(self) -> Named | None:
        """Write the name that a call gives by `repo` and `tag`; None if it gives none."""
        repository = str(self._query.pop("repo", ""))
        tag = self._query.pop("tag", None)
        if not repository:
            return None
        named = await self._images.judge_name(repository, tag)
        outer, _, tag = named.outer.rpartition(":")
        self._query |= {"repo": outer, "tag": tag}
        return named

    async def _tag(self) -> Prepared:
        named = await self._name_image()
        if named is None:
            raise malformed("repo is missing")

        async def note(_: object) -> list[dict[str, str]]:
            await self._images.note_named(named)
            return []

        return await self._write(None, note=note)

    async def _commit(self) -> Prepared:
        read_commit(self._body)
        if "container" not in self._query:
            raise malformed("container is missing")
        named = await self._name_image()

        async def note(answer: object) -> list[dict[str, str]]:
            if isinstance(answer, dict):
                self._images.note_made(str(answer.get("Id")))
            if named is not None:
                await self._images.note_named(named)
            return []

        [reference] = list_references(self._query["container"])
        container = await self._lookups.find(reference)
        return await self._write(restore_words(container.config), note=note)

    async def _import(self) -> Prepared:
        named = await self._name_image()
        if named is None:
            raise Refused(
                "an image that is imported needs a name",
                hint="name it: docker import FILE NAME",
                rule="images",
            )

        async def note(_: object) -> list[dict[str, str]]:
            await self._images.note_named(named)
            return []

        return await self._write(None, note=note)

    async def _load(self) -> Prepared:
        """Load images without the names that their archive has, and give these afterwards."""
        from airlock_modules.engine.archive import ArchiveRewriter  # noqa: PLC0415 - seldom needed

        wanted: list[tuple[str, ...]] = []

        def take(_: str, names: tuple[str, ...]) -> tuple[str, ...]:
            wanted.append(names)
            if len(wanted) + sum(map(len, wanted)) > _MAX_LOADED:
                raise malformed(f"the archive has more than {_MAX_LOADED} images and names")
            return ()

        async def note(digests: object) -> list[dict[str, str]]:
            # The engine tells them in the order of the manifest.
            return await self._images.name_loaded(digests, wanted)

        prepared = await self._write(None, note=note)
        return msgspec.structs.replace(prepared, sent=ArchiveRewriter(take, is_loaded=True))

    async def _save(self) -> Prepared:
        """Save an image by its id, with the name by which the client asked for it."""
        from airlock_modules.engine.archive import ArchiveRewriter  # noqa: PLC0415 - seldom needed

        asked = self._found.target or self._query.get("names")
        if not isinstance(asked, Reference):
            raise malformed("names is missing")
        identity = (await self._lookups.find(asked)).id.removeprefix("sha256:")
        name = () if is_image_id(asked.text) else (shorten_name(asked.text),)
        prepared = await self._write(None)
        received = ArchiveRewriter(lambda digest, _: name if digest == identity else ())
        return msgspec.structs.replace(prepared, received=received)

    async def answer_itself(self) -> object | None:
        """The answer to a call that the engine gets in several; None for another one.

        Raises Refused and AirlockError.
        """
        name = self._found.call.name
        if name == "container.prune":
            return await self._prune_containers()
        if name == "build.prune":
            return {"CachesDeleted": [], "SpaceReclaimed": 0}
        if name == "image.prune":
            return await self._images.prune(_as_filters(self._query))
        if name == "image.remove":
            target = self._need_target()
            identity = (await self._lookups.find(target)).id
            return await self._images.remove(target.text, identity)
        return None

    async def _prune_containers(self) -> object:
        """Remove own containers that do not run.

        The engine would go by labels alone, which a person's container may have from its image.
        """
        base = f"/v{self._view.version[0]}.{self._view.version[1]}/containers/"
        filters = self._narrow()
        filters.pop("label!", None)
        if filters.keys() - {"label"}:
            raise Refused("prune by age is not granted", hint="leave the filter out", rule="field")
        filters |= {"status": ["created", "exited", "dead"]}
        own, _ = await list_own(self._agent.engine, self._view, self._agent.turns, filters)
        removed = []
        for each in own:
            status, _ = await request_json(self._agent.engine, "DELETE", f"{base}{each.id}?v=1")
            removed += [each.id] if status < HTTPStatus.BAD_REQUEST else []
        return {"ContainersDeleted": removed, "SpaceReclaimed": 0}

    def _need_target(self) -> Reference:
        if self._found.target is None:
            raise TypeError(self._found)
        return self._found.target


def _escape(text: str) -> str:
    return quote(text, safe=":")


def _as_filters(query: Mapping[str, object]) -> dict[str, list[Any]]:
    filters = query.get("filters")
    return dict(filters) if isinstance(filters, dict) else {}
